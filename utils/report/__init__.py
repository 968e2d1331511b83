"""The page of a run, `report.html`: static, made from the files in the run folder."""
