"""What the user may ask for.

`table` has one record (`option`) for each option of `capfix run`. `parser` makes the command line's parser of them,
`config_file` reads a file and `settings` says what it means, `layers` puts the command line over the file over the
defaults, `assembly` makes RunOptions (`run`) of the values, and `checks` says what is wrong with them together.
"""
