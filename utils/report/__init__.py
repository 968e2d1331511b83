"""The page of a run, `report.html`: static, made of what lies in the run's folder."""
