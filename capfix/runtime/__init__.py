"""What everything that runs for a while stands on: the event loop, and who hears of what happens.

    loop      calls back when there is something to read, when it is time, when a signal came
    report    tells a person
    notify    tells the service manager

Nothing here knows what a capture is.
"""
