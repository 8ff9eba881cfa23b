select id, name from users where age > $1 and mood = $2 order by id
