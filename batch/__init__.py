"""Many photos: what is to be done, by whom, what is done, and what a person should look at."""
