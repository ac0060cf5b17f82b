-- The cohort that a row belongs to at a level, as `drift.by` names levels.
create macro cohort_of(level, site, device, class_id, hardware, agent, attributes) as
    case when level = 'fleet' then 'fleet' else array_to_string(list_transform(string_split(level, '/'), lambda part:
        case part when 'site' then site when 'device' then device when 'class' then class_id::varchar
        else coalesce(nullif(replace(case part
            when 'hardware' then hardware when 'agent' then agent else attributes[part[12:]] end, '/', '_'), ''), 'unknown')
        end), '/') end;

-- How often the model is right in each window, by its confidence alone, and what people said of rows of that window.
create view expected_accuracy as
with levels as (select distinct model, model_version, level from current_windows),
cohorts as (
    select model, model_version, level, time, correct, confidence,
           cohort_of(level, site, device, class_id, hardware, agent, attributes) as cohort
    from labels join levels using (model, model_version) where not clock_off
),
said as (
    select model, model_version, level, cohort, window_start, count(*) as labelled, count(*) filter (correct) as correct,
           avg(confidence) as labelled_confidence
    from cohorts join current_windows using (model, model_version, level, cohort)
    where time >= window_start and time < window_end group by all
)
select model, model_version, level, cohort, window_start, window_end, rows, events,
       w.expected_accuracy, w.expected_accuracy_error,
       coalesce(labelled, 0) as labelled, coalesce(correct, 0) as correct, labelled_confidence
from current_windows w left join said using (model, model_version, level, cohort, window_start);
