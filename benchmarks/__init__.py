"""How fast is it, beside docker compose and beside bare calls? Every figure is judged against another of the same run."""
