CREATE TABLE city (id INTEGER PRIMARY KEY, name TEXT NOT NULL, country TEXT, people INTEGER);
CREATE INDEX by_country ON city (country);
INSERT INTO city (name, country, people) VALUES
  ('Bern', 'CH', 134000), ('Zürich', 'CH', 421000), ('Wien', 'AT', 1982000), ('Graz', 'AT', 298000), ('Kiel', 'DE', 247000);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
  INSERT INTO city (name, country, people) SELECT printf('Ort %04d', i), char(65 + i % 26, 65 + i / 26 % 26), (i * 7919) % 100003 FROM n;
SELECT count(*), sum(people), min(name), max(name) FROM city;
SELECT country, count(*) AS c, avg(people) FROM city GROUP BY country HAVING c > 7 ORDER BY c DESC, country LIMIT 5;
SELECT a.name, b.name FROM city a JOIN city b ON a.country = b.country AND a.id < b.id WHERE a.id <= 5 ORDER BY 1, 2 LIMIT 4;
EXPLAIN QUERY PLAN SELECT * FROM city WHERE country = 'CH';
BEGIN;
UPDATE city SET people = people + 1 WHERE id % 2 = 0;
DELETE FROM city WHERE id % 3 = 0;
ROLLBACK;
BEGIN;
DELETE FROM city WHERE id % 5 = 0;
COMMIT;
SELECT count(*), total(people) FROM city;
CREATE VIEW large AS SELECT * FROM city WHERE people > 90000;
SELECT count(*) FROM large;
CREATE TRIGGER log AFTER INSERT ON city BEGIN UPDATE city SET people = 0 WHERE id = new.id AND people < 0; END;
INSERT INTO city (name, country, people) VALUES ('Nirgends', 'XX', -5);
SELECT name, people FROM city WHERE country = 'XX' AND name LIKE 'N%';
SELECT json_extract('{"a": [1, 2, {"b": "c"}]}', '$.a[2].b'), upper('größe'), round(2.567, 2), hex(zeroblob(2)), typeof(1.0);
SELECT name, people, rank() OVER (ORDER BY people DESC) AS place FROM city WHERE id <= 5 ORDER BY place;
INSERT INTO city (id, name) VALUES (1, 'twice');
PRAGMA integrity_check;
