"""One module per subcommand: HELP, add_arguments(parser), run(arguments) -> exit status."""
