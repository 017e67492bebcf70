"""What words mean: tables, fields, analytes, code systems. No rows here."""
