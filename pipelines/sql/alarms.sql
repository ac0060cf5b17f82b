-- Each stretch of windows in which a statistic of a site alarmed.
create view alarms as
with judged as (
    select *, row_number() over w as place,
           row_number() over (partition by model, model_version, site, statistic, alarming order by window_start) as among
    from current_drift
    window w as (partition by model, model_version, site, statistic order by window_start)
)
select model, model_version, site, statistic, min(window_start) as since, max(window_end) as until,
       count(*) as windows, max(value / threshold) as times_threshold
from judged where alarming
group by model, model_version, site, statistic, place - among;
