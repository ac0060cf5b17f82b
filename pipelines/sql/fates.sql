-- What became of each record: ranges of one stream, as an inference, a reject or a declared gap.
-- A fork is no fate: its number has one already, by another record.
create view fates as
select device, stream, seq as first_seq, seq as last_seq, 'inference' as fate, null as reason, received from inferences
union all
select device, stream, first_seq, last_seq, 'reject', reason, received from rejects
where first_seq is not null and reason <> 'fork'
union all
select device, stream, first_seq, last_seq, 'gap', reason, received from gaps;
