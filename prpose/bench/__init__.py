"""How long predicting takes, and where the time goes; measured from outside."""
