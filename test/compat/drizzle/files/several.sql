select 1 as one;
select 'two' as two;
