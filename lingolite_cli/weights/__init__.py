"""The weights of a bundle: integers, scales and ranges, decided once, and one reader of them."""
