"""Words to pictures, kept in the gallery and told about."""
