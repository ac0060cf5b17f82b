-- The alarms that last.
create view open_alarms as
select * from current_alarms where state in ('raised', 'confirmed');
