"""Small sweeps as raw rows'"'"'); b=s.index("\nE\n",a)
open('"'"'/work/main/tests/built_sweep.py'"'"','"'"'w'"'"').write(s[a:b]+"\n")
