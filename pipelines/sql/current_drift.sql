-- The last word on each statistic of a window: its highest revision.
create view current_drift as
select * from drift
qualify row_number() over (
    partition by model, model_version, level, cohort, statistic, window_start order by revision desc) = 1;
