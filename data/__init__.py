"""The data that ships with authdb: the curated list, the recorded facts and the editions.

There is no code here. `README.md` in this folder says how a person edits the list;
`authdb.editions` reads it.
"""
