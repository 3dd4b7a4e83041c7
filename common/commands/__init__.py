"""Commands of ``python -m common``; no bundle imports them."""
