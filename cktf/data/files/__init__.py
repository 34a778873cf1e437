"""Reading files of data sets: where they are, how they are checked, decoded and mapped."""
