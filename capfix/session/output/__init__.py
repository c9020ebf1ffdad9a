"""Where a capture's packets go: sections, files, and the limits of each.

output         one file after another, and a disk that fails; `phase` names where it stands
blocks         fills buffers and hands them to the writer
content        what a section holds beside packets
current_file   how far the file being written has come
crowding       how many interface blocks one file should have
"""
