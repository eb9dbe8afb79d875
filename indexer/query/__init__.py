"""From a question to hits: filters, keywords, candidates, fusion."""
