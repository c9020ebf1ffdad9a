"""Asks Linux: packet sockets, links and what else only the kernel knows.

Every refusal becomes a CaptureError that says what was asked for. Nothing here knows of files or of pcapng.
"""
