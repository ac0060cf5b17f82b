-- The last word on each window: its highest revision.
create view current_drift as
select * from drift
qualify row_number() over (
    partition by model, model_version, site, statistic, window_start order by revision desc) = 1;
