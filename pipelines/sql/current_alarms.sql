-- What has become of each alarm: its highest revision.
create view current_alarms as
select * from alarms
qualify row_number() over (partition by alarm_id order by revision desc) = 1;
