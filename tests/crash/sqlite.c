/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQLite's own promises, kept by the volume's: after a power cut the database is whole, and has the rows of
 * all transactions that were acknowledged, those of the next one or not, and no others. With
 * synchronous=FULL, in both ways of journaling.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/crash/crash.h"
#include "tests/crash/random.h"
#include "tests/crash/sqlite-files.h"

enum { TRANSACTIONS = 12 };

static void fail(const char *what, sqlite3 *db)
{
	fprintf(stderr, "crash: sqlite: %s: %s\n", what, sqlite3_errmsg(db));
	exit(2);
}

static void must(sqlite3 *db, const char *sql)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail(sql, db);
}

static int open_database(sqlite3 **ret, bool wal)
{
	int r = sqlite3_open_v2("/test.db", ret, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "volume");

	if (r == SQLITE_OK)
		r = sqlite3_exec(
		    *ret, "PRAGMA locking_mode=EXCLUSIVE; PRAGMA synchronous=FULL; PRAGMA cache_size=20",
		    NULL, NULL, NULL);
	if (r == SQLITE_OK)
		r = sqlite3_exec(*ret, wal ? "PRAGMA journal_mode=WAL" : "PRAGMA journal_mode=DELETE", NULL,
				 NULL, NULL);
	return r;
}

/* Transaction n: new rows, and old ones changed, more than the page cache holds. */
static void transaction(sqlite3 *db, unsigned n, struct random *r)
{
	unsigned rows = 1 + random_below(r, 40);
	char sql[400];

	must(db, "BEGIN");
	for (unsigned i = 0; i < rows; i++) {
		snprintf(sql, sizeof(sql), "INSERT INTO t VALUES(%u, %u, hex(zeroblob(%u)))", n, i,
			 (unsigned)random_below(r, 1500));
		must(db, sql);
	}
	snprintf(sql, sizeof(sql),
		 "UPDATE t SET filler=filler||'x' WHERE rowid %% 3 = %u; UPDATE s SET n=%u, rows=rows+%u",
		 n % 3, n, rows);
	must(db, sql);
	if (n % 5 == 4)
		must(db, "DELETE FROM t WHERE i > 20; UPDATE s SET rows=(SELECT count(*) FROM t)");
	must(db, "COMMIT");
}

static void workload(struct record *record, struct mounted *m, bool wal, uint64_t seed)
{
	struct random r = {seed};
	sqlite3 *db;

	sqlite_files_on(m);
	record_mark(record, EVENT_BEGIN, 0);
	if (open_database(&db, wal) != SQLITE_OK)
		fail("open", db);
	must(db, "CREATE TABLE t(n, i, filler); CREATE TABLE s(n, rows); INSERT INTO s VALUES(0, 0)");
	record_mark(record, EVENT_END, 0);
	for (unsigned n = 1; n <= TRANSACTIONS; n++) {
		record_mark(record, EVENT_BEGIN, n);
		transaction(db, n, &r);
		record_mark(record, EVENT_END, n);
	}
	sqlite3_close(db);
	sqlite_files_on(NULL);
}

/* ---- looking ---------------------------------------------------------------------------------------- */

static int first_text(void *arg, int columns, char **values, char **names)
{
	snprintf(arg, 200, "%s", values[0] ? values[0] : "NULL");
	return 0;
}

/* NULL: it is as it should be. */
static const char *database_wrong(bool wal, unsigned begun, unsigned acked, char why[static 400])
{
	char integrity[200] = "", last[200] = "", rows[200] = "";
	sqlite3 *db;
	unsigned n;

	if (open_database(&db, wal) != SQLITE_OK) {
		snprintf(why, 400, "the database cannot be opened: %s", sqlite3_errmsg(db));
		sqlite3_close(db);
		return why;
	}
	sqlite3_exec(db, "PRAGMA integrity_check", first_text, integrity, NULL);
	sqlite3_exec(db, "SELECT n FROM s", first_text, last, NULL);
	sqlite3_exec(db,
		     "SELECT (SELECT rows FROM s) = (SELECT count(*) FROM t) AND (SELECT n FROM s) >= "
		     "(SELECT ifnull(max(n), 0) FROM t)",
		     first_text, rows, NULL);
	sqlite3_close(db);
	n = atoi(last);
	if (strcmp(integrity, "ok"))
		snprintf(why, 400, "the database is damaged: %s", integrity);
	else if (acked && !*last)
		snprintf(why, 400, "the database has lost its tables");
	else if (*last && (n + 1 < acked || n + 1 > begun))
		snprintf(why, 400, "the database has %u transactions; %u had begun, %u were acknowledged",
			 n, begun - 1, acked - 1);
	else if (*last && strcmp(rows, "1"))
		snprintf(why, 400, "a transaction is there in part: %s", rows);
	else
		return NULL;
	return why;
}

static void judge(struct crash *c, struct pages *image, bool wal, unsigned begun, unsigned acked,
		  const char *what)
{
	const struct vol_config config = {.no_keeper = true};
	struct area *area;
	struct mounted m;
	char text[400];

	if (!crash_fsck(c, image, what, "before the mount"))
		return;
	area = pages_area(image);
	if (mounted_open(&m, area, &config, text, sizeof(text)) < 0) {
		crash_violation(c, what, "mount: %s", text);
	} else {
		sqlite_files_on(&m);
		if (database_wrong(wal, begun, acked, text))
			crash_violation(c, what, "%s", text);
		sqlite_files_on(NULL);
		mounted_close(&m);
	}
	area_close(area);
}

static void judge_all(struct crash *c, const struct record *record, const struct pages *from, bool wal,
		      uint64_t seed, uint64_t until)
{
	struct states *states = states_new(record, from, seed, c->per_moment);
	uint32_t begun, acked;
	char what[600], state[200];
	struct pages image;

	pages_init(&image, from->count, crash_poison);
	while (c->images < until && c->images < c->wanted && states_next(states, &image, &begun, &acked)) {
		begun = begun > TRANSACTIONS + 1 ? TRANSACTIONS + 1 : begun;
		acked = acked > TRANSACTIONS + 1 ? TRANSACTIONS + 1 : acked;
		states_describe(states, state, sizeof(state));
		snprintf(what, sizeof(what), "seed %llu, sqlite, %s, %u begun, %u acknowledged, %s",
			 (unsigned long long)seed, wal ? "WAL" : "rollback", begun, acked, state);
		c->images++;
		judge(c, &image, wal, begun, acked, what);
	}
	pages_fini(&image);
	states_free(states);
}

void crash_sqlite(struct crash *c, bool wal, uint64_t until)
{
	const struct vol_config config = {.no_keeper = true, .skip = c->skip};
	struct pages empty;

	pages_init(&empty, IMAGE_BLOCKS, crash_poison);
	crash_mkfs(&empty, c->seed);
	for (uint64_t seed = c->seed; c->images < until && c->images < c->wanted; seed++) {
		struct record *record = record_new(&empty);
		struct mounted m;
		char error[256];

		if (mounted_open(&m, record->area, &config, error, sizeof(error)) < 0) {
			fprintf(stderr, "crash: %s\n", error);
			exit(2);
		}
		workload(record, &m, wal, seed);
		mounted_close(&m);
		judge_all(c, record, &empty, wal, seed, until);
		record_free(record);
		c->sequences++;
	}
	pages_fini(&empty);
}
