/* SPDX-License-Identifier: Apache-2.0 */
/* Made by scripts/gen-sites.py of ld-linux-x86-64.so.2, build-id 7ebc65e52f2bbea498b4040fa92f7238377aaba9. */
static const uint32_t regular_7ebc65e5[] = {
	SITE(0xa0d3, 202), SITE(0xc66d, 20), SITE(0xffd2, 202), SITE(0x102ea, 202), SITE(0x11e88, 218), SITE(0x11f57, 334),
	SITE(0x12ca5, 1), SITE(0x13f0f, 21), SITE(0x1e9f6, 59), SITE(0x1fc45, 12), SITE(0x202f8, 257), SITE(0x20701, 217),
	SITE(0x20928, 262), SITE(0x20970, 257), SITE(0x209c5, 8), SITE(0x209e5, 21), SITE(0x20a05, 3), SITE(0x20a4b, 72),
	SITE(0x20a6f, 72), SITE(0x20aaa, 72), SITE(0x20ac7, 72), SITE(0x20b98, 17), SITE(0x20bc5, 1), SITE(0x20ca1, 9),
	SITE(0x20ce5, 11), SITE(0x20d05, 10), SITE(0x20d44, 202), SITE(0x20de2, 202), SITE(0x20e01, 202), SITE(0x20e15, 63),
	SITE(0x20e85, 39), SITE(0x21026, 13), SITE(0x258c5, 38),
};
static const struct site other_7ebc65e5[] = {
	{0xc3f4, 89, SITE_PLAIN, 6, 0, 0, 0xfb706e74}, /* _dl_find_dso_for_object+0xf64 */
	{0x1fd0c, 79, SITE_PLAIN, 7, 0, 0, 0x3c1a95a6}, /* _dl_catch_error+0x788c */
	{0x20b1b, 257, SITE_PLAIN, 5, 0, 0, 0xac119ea5}, /* _dl_catch_error+0x869b */
	{0x20b72, 0, SITE_PLAIN, 2, -74, 0, 0xcfba2b96}, /* _dl_catch_error+0x86f2 */
};
#define TABLE_7ebc65e5(X) X(regular_7ebc65e5, other_7ebc65e5, 0x7e, 0xbc, 0x65, 0xe5, 0x2f, 0x2b, 0xbe, 0xa4, 0x98, 0xb4, 0x04, 0x0f, 0xa9, 0x2f, 0x72, 0x38, 0x37, 0x7a, 0xab, 0xa9)
