"""I/O: keep raw records until what came of them is durable elsewhere."""
