"""`fetch` on the command line, and what stands on what it brought: --study, list, validate, flags/study.flags."""
