"""Experiments as plans: from videos to a page, in steps that are the project's own commands.

`plan` says what a plan is, `run` runs one and resumes it; `small` is the experiment for two CPU cores, `full`
the paper's; `measure` gathers what the steps left, `page` and `plots` show it.
"""
