-- The last word on each window of a cohort: its highest revision.
create view current_windows as
select * from windows
qualify row_number() over (
    partition by model, model_version, level, cohort, window_start order by revision desc) = 1;
