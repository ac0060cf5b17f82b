-- What people said of predictions: the last word on each record, if it was that the model is right, or what is right.
-- With what its device had said of itself by then.
create view labels as
with words as (
    select * from feedback
    qualify row_number() over (
        partition by device, stream, seq order by received desc, log_partition desc, log_offset desc) = 1
),
told as (
    select p.device, p.stream, p.seq, p.time, p.clock_off, p.site, p.model, p.model_version, p.class_id, p.confidence,
           p.margin, case w.kind when 'confirmed' then p.class_id else w.class_id end as label, p.received
    from words w join predictions p using (device, stream, seq) where w.kind in ('confirmed', 'corrected')
),
hellos as (select device, received, hardware, agent, attributes from devices where event = 'hello')
select t.* exclude (received), label = class_id as correct, hardware, agent, attributes
from told t asof left join hellos h on t.device = h.device and t.received >= h.received;
