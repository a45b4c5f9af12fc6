"""Renders what a view returned; reads SQL results, decides nothing."""
