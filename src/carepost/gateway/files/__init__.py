"""What a file really is, whatever it is called: its kind, its name's tricks, what is packed or hidden in it.

Pure: bytes in, traits out. The checks `attachments`, `archives` and `malware` look at files through here.
"""
