"""Help where it is needed: method pages, exact terms, glossary, curves and the first tour."""
