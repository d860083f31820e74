"""Measuring Carepost, and the mail systems that people would use instead of it, side by side on one machine.

`make bench`, or `python -m bench --help`. Everything runs on loopback, in private instances that are ended afterwards.
"""
