"""Training one student: configuration, loop, checkpoint, teacher."""
