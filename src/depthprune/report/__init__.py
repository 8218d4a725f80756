"""Tables, plots and text: only formatting, no arithmetic on results."""
