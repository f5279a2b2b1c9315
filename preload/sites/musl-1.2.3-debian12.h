/* SPDX-License-Identifier: Apache-2.0 */
/* Made by scripts/gen-sites.py of ld-musl-x86_64.so.1, build-id 54d00df44fce62f541ca62b56bdef5bf31ff077c. */
static const uint32_t regular_54d00df4[] = {
	SITE(0x15b6b, 129), SITE(0x162d6, 129), SITE(0x1a6c0, 3), SITE(0x1b428, 231), SITE(0x1b4b1, 200), SITE(0x1b85c, 3),
	SITE(0x1baeb, 221), SITE(0x1f5cf, 71), SITE(0x1f5ef, 68), SITE(0x1f69a, 66), SITE(0x1f70a, 64), SITE(0x1f74c, 65),
	SITE(0x1f76f, 220), SITE(0x1f78b, 30), SITE(0x1f7af, 31), SITE(0x1f7c9, 67), SITE(0x1f7fd, 29), SITE(0x207cc, 158),
	SITE(0x20809, 126), SITE(0x20829, 125), SITE(0x20849, 161), SITE(0x20870, 305), SITE(0x20921, 326), SITE(0x20995, 233),
	SITE(0x20a5e, 290), SITE(0x20a70, 284), SITE(0x20af2, 285), SITE(0x20b1d, 300), SITE(0x20b41, 301), SITE(0x20b5f, 73),
	SITE(0x20b88, 217), SITE(0x20c02, 253), SITE(0x20c3e, 254), SITE(0x20c5f, 255), SITE(0x20c7c, 173), SITE(0x20c9c, 172),
	SITE(0x20cbf, 103), SITE(0x20d0b, 324), SITE(0x20e8b, 319), SITE(0x20eaf, 325), SITE(0x20ed9, 175), SITE(0x20efb, 176),
	SITE(0x20f1c, 165), SITE(0x20f5c, 166), SITE(0x20f82, 303), SITE(0x20faf, 304), SITE(0x20fc9, 135), SITE(0x20fe9, 155),
	SITE(0x210ce, 157), SITE(0x21112, 302), SITE(0x2113b, 311), SITE(0x2115b, 310), SITE(0x211ce, 101), SITE(0x21222, 179),
	SITE(0x21248, 187), SITE(0x212a2, 216), SITE(0x212ca, 12), SITE(0x212ee, 40), SITE(0x2130b, 123), SITE(0x2132b, 122),
	SITE(0x21394, 39), SITE(0x213a3, 62), SITE(0x21419, 170), SITE(0x2143f, 308), SITE(0x214e4, 289), SITE(0x214f0, 282),
	SITE(0x21571, 275), SITE(0x215dc, 167), SITE(0x215f9, 168), SITE(0x2161f, 277), SITE(0x2163c, 306), SITE(0x21659, 99),
	SITE(0x2167e, 276), SITE(0x2169f, 283), SITE(0x216c2, 286), SITE(0x216ec, 287), SITE(0x2170c, 272), SITE(0x21739, 153),
	SITE(0x2175b, 278), SITE(0x217a2, 61), SITE(0x217c8, 191), SITE(0x217e8, 192), SITE(0x2180b, 193), SITE(0x21825, 194),
	SITE(0x21835, 195), SITE(0x21848, 196), SITE(0x2186f, 188), SITE(0x2188f, 189), SITE(0x218b2, 190), SITE(0x218d9, 197),
	SITE(0x218f9, 198), SITE(0x2191c, 199), SITE(0x3dfee, 140), SITE(0x3e019, 120), SITE(0x3e039, 118), SITE(0x3e07e, 302),
	SITE(0x3e10c, 98), SITE(0x3e2af, 16), SITE(0x3ef66, 16), SITE(0x3f539, 171), SITE(0x3f561, 141), SITE(0x3f583, 160),
	SITE(0x3f5b9, 302), SITE(0x3fd39, 63), SITE(0x4037c, 28), SITE(0x40399, 27), SITE(0x403b9, 149), SITE(0x403dc, 151),
	SITE(0x4054d, 25), SITE(0x40619, 150), SITE(0x40639, 152), SITE(0x4068f, 28), SITE(0x4085c, 3), SITE(0x40aa2, 3),
	SITE(0x40aca, 3), SITE(0x40b3c, 240), SITE(0x40bbc, 245), SITE(0x40c40, 241), SITE(0x41ee7, 49), SITE(0x44685, 52),
	SITE(0x44b25, 51), SITE(0x44b58, 55), SITE(0x44cd6, 3), SITE(0x450b0, 3), SITE(0x473a4, 3), SITE(0x47d15, 3),
	SITE(0x48fcb, 54), SITE(0x4bf87, 57), SITE(0x4c449, 59), SITE(0x4c6aa, 322), SITE(0x4c9a9, 112), SITE(0x4c9e1, 104),
	SITE(0x4c9eb, 106), SITE(0x4c9fe, 102), SITE(0x4ca08, 105), SITE(0x4cb11, 81), SITE(0x4cba9, 80), SITE(0x4cca1, 72),
	SITE(0x5657c, 203), SITE(0x56599, 203), SITE(0x565a9, 204), SITE(0x5668c, 146), SITE(0x566ac, 147), SITE(0x567ec, 148),
	SITE(0x56849, 24), SITE(0x57567, 14), SITE(0x57587, 14), SITE(0x575bc, 36), SITE(0x575df, 62), SITE(0x5774e, 200),
	SITE(0x5779c, 38), SITE(0x578b8, 13), SITE(0x57941, 14), SITE(0x57ab9, 131), SITE(0x57f09, 129), SITE(0x5829b, 90),
	SITE(0x582d3, 91), SITE(0x5841d, 268), SITE(0x58497, 268), SITE(0x584a4, 3), SITE(0x5882b, 83), SITE(0x5884e, 258),
	SITE(0x5888b, 133), SITE(0x588b1, 259), SITE(0x5892c, 138), SITE(0x58a65, 138), SITE(0x58b2b, 95), SITE(0x59244, 3),
	SITE(0x5a990, 3), SITE(0x5ced1, 3), SITE(0x5cf8d, 3), SITE(0x5d499, 87), SITE(0x5d4a7, 84), SITE(0x5d4c9, 82),
	SITE(0x5dc88, 3), SITE(0x68af7, 200), SITE(0x69f19, 144), SITE(0x6a198, 14), SITE(0x6a679, 145), SITE(0x6aab5, 200),
	SITE(0x6bc4c, 142), SITE(0x6bcdd, 14), SITE(0x6c693, 186), SITE(0x6c965, 24), SITE(0x6caa9, 2), SITE(0x6cb07, 3),
	SITE(0x6e43c, 229), SITE(0x6e5dc, 227), SITE(0x70052, 222), SITE(0x7019a, 222), SITE(0x702aa, 226), SITE(0x702fd, 225),
	SITE(0x7032d, 224), SITE(0x70363, 223), SITE(0x70385, 100), SITE(0x7077c, 21), SITE(0x70799, 163), SITE(0x70829, 80),
	SITE(0x7084d, 92), SITE(0x708cc, 32), SITE(0x709ea, 108), SITE(0x709fb, 114), SITE(0x70a07, 107), SITE(0x70a11, 113),
	SITE(0x70a44, 1), SITE(0x70bb0, 3), SITE(0x70be2, 3), SITE(0x70c7b, 81), SITE(0x70d1a, 93), SITE(0x70da4, 260),
	SITE(0x70e2c, 77), SITE(0x70f15, 108), SITE(0x70f25, 107), SITE(0x70f35, 104), SITE(0x70f4c, 115), SITE(0x7107c, 121),
	SITE(0x710a5, 39), SITE(0x710b5, 110), SITE(0x710cc, 124), SITE(0x710e5, 102), SITE(0x71114, 16), SITE(0x7116d, 94),
	SITE(0x71189, 86), SITE(0x711b5, 265), SITE(0x711db, 8), SITE(0x71299, 22), SITE(0x714d0, 89), SITE(0x71539, 267),
	SITE(0x715c2, 264), SITE(0x715e9, 84), SITE(0x7165f, 109), SITE(0x716c9, 112), SITE(0x71744, 39), SITE(0x71753, 62),
	SITE(0x71829, 88), SITE(0x7184c, 266), SITE(0x71865, 162), SITE(0x71919, 76), SITE(0x71ae9, 87), SITE(0x71b0f, 263),
	SITE(0x775bc, 58), SITE(0x77772, 158), SITE(0x7777a, 11), SITE(0x77784, 60),
};
static const struct site other_54d00df4[] = {
	{0x1a711, 217, SITE_PLAIN, 8, 0, 0, 0x24fd50c0}, /* readdir+0x41 */
	{0x1ac83, 7, SITE_PLAIN, 8, 0, 0, 0x6688a4db}, /* _init+0x163 */
	{0x1acad, 2, SITE_PLAIN, 3, 77, 0, 0x8e5d022a}, /* _init+0x18d */
	{0x1b831, 72, SITE_PLAIN, 6, 0, 0, 0xe9b1b4dd}, /* fcntl+0x71 */
	{0x1b845, 72, SITE_PLAIN, 6, 0, 0, 0xc70c5f25}, /* fcntl+0x85 */
	{0x1b883, 72, SITE_PLAIN, 8, 0, 0, 0x4d42dd82}, /* fcntl+0xc3 */
	{0x1b8bc, 72, SITE_PLAIN, 8, 0, 0, 0xf808bdba}, /* fcntl+0xfc */
	{0x1b901, 72, SITE_PLAIN, 6, 0, 0, 0x9cfc91e7}, /* fcntl+0x141 */
	{0x1b917, 72, SITE_PLAIN, 8, 0, 0, 0x38c1792d}, /* fcntl+0x157 */
	{0x1b95b, 72, SITE_PLAIN, 6, 0, 0, 0x0cd4d4bd}, /* fcntl+0x19b */
	{0x1ba2f, 72, SITE_PLAIN, 5, 0, 0, 0xa766ce94}, /* open+0xbf */
	{0x1bb03, 285, SITE_PLAIN, 5, 0, 0, 0xe2c12269}, /* posix_fallocate+0x13 */
	{0x2093f, 291, SITE_PLAIN, 8, 0, 0, 0xa891bbfe}, /* epoll_create1+0xf */
	{0x20957, 213, SITE_PLAIN, 5, 0, 0, 0xb859124f}, /* epoll_create1+0x27 */
	{0x20bef, 294, SITE_PLAIN, 8, 0, 0, 0x2ad94625}, /* inotify_init1+0xf */
	{0x20f3b, 166, SITE_PLAIN, 7, 0, 0, 0x93e9d876}, /* umount+0xb */
	{0x2135c, 116, SITE_PLAIN, 7, 0, 0, 0x923615d3}, /* setfsuid+0x3c */
	{0x21517, 72, SITE_PLAIN, 5, 0, 0, 0xa766ce94}, /* signalfd+0x47 */
	{0x2154f, 72, SITE_PLAIN, 5, 0, 0, 0xe719acf1}, /* signalfd+0x7f */
	{0x28745, 12, SITE_PLAIN, 6, 0, 0, 0xce6d7394}, /* aligned_alloc+0xe15 */
	{0x287cf, 12, SITE_PLAIN, 8, 0, 0, 0xe5b2aa09}, /* aligned_alloc+0xe9f */
	{0x3f6a2, -1, SITE_DYNAMIC, 8, 0, 0, 0x4dd6ad6d}, /* syscall+0x62 */
	{0x40432, 9, SITE_PLAIN, 8, 0, 0, 0x473386e2}, /* mmap+0x42 */
	{0x404f8, 10, SITE_PLAIN, 10, 0, 0, 0x9760283d}, /* mprotect+0x28 */
	{0x4066c, 11, SITE_PLAIN, 6, 0, 0, 0xc1608902}, /* munmap+0x1c */
	{0x41ea6, 72, SITE_PLAIN, 5, 0, 0, 0xa766ce94}, /* accept4+0xa6 */
	{0x41ebf, 72, SITE_PLAIN, 5, 0, 0, 0xe719acf1}, /* accept4+0xbf */
	{0x49080, 41, SITE_PLAIN, 9, 0, 0, 0x1b86065f}, /* socket+0x20 */
	{0x490af, 41, SITE_PLAIN, 8, 0, 0, 0xf9fa11bf}, /* socket+0x4f */
	{0x490d4, 72, SITE_PLAIN, 5, 0, 0, 0xa766ce94}, /* socket+0x74 */
	{0x49102, 72, SITE_PLAIN, 5, 0, 0, 0xe719acf1}, /* socket+0xa2 */
	{0x4914b, 53, SITE_PLAIN, 7, 0, 0, 0x61bb6d96}, /* socketpair+0x2b */
	{0x491a8, 53, SITE_PLAIN, 6, 0, 0, 0x85d7a515}, /* socketpair+0x88 */
	{0x491d8, 72, SITE_PLAIN, 8, 0, 0, 0x38c1792d}, /* socketpair+0xb8 */
	{0x491e1, 72, SITE_PLAIN, 7, 0, 0, 0xa9bcd976}, /* socketpair+0xc1 */
	{0x49203, 72, SITE_PLAIN, 8, 0, 0, 0x6f4da716}, /* socketpair+0xe3 */
	{0x4920c, 72, SITE_PLAIN, 7, 0, 0, 0xa9bcd976}, /* socketpair+0xec */
	{0x4caf3, 1, SITE_PLAIN, 3, -102, 0, 0xcec8a7f2}, /* fork+0x3d3 */
	{0x4cb3a, 72, SITE_PLAIN, 8, 0, 0, 0x92eafbf8}, /* fork+0x41a */
	{0x4cbd8, -1, SITE_DYNAMIC, 9, 0, 0, 0x1e4e03a7}, /* fork+0x4b8 */
	{0x4cbfb, -1, SITE_DYNAMIC, 6, 0, 0, 0xeedf9c73}, /* fork+0x4db */
	{0x4cc0c, -1, SITE_DYNAMIC, 3, -113, 0, 0xb14ec518}, /* fork+0x4ec */
	{0x4cc32, -1, SITE_DYNAMIC, 6, 0, 0, 0xeedf9c73}, /* fork+0x512 */
	{0x4cc4f, -1, SITE_DYNAMIC, 7, 0, 0, 0xad51743a}, /* fork+0x52f */
	{0x4cc66, -1, SITE_DYNAMIC, 6, 0, 0, 0x2d063894}, /* fork+0x546 */
	{0x4cc77, -1, SITE_DYNAMIC, 3, -97, 0, 0x6afb97d8}, /* fork+0x557 */
	{0x4cc8d, 72, SITE_PLAIN, 5, 0, 0, 0x5e4cc7e8}, /* fork+0x56d */
	{0x582e7, 72, SITE_PLAIN, 5, 0, 0, 0x5e4cc7e8}, /* fchmod+0x37 */
	{0x58306, 90, SITE_PLAIN, 6, 0, 0, 0x0a8e8542}, /* fchmod+0x56 */
	{0x5838c, 262, SITE_PLAIN, 6, 0, 0, 0x47ee7ca5}, /* fchmodat+0x4c */
	{0x583b4, 257, SITE_PLAIN, 5, 0, 0, 0x60aaddc0}, /* fchmodat+0x74 */
	{0x58473, 262, SITE_PLAIN, 10, 0, 0, 0x04be8aa5}, /* fchmodat+0x133 */
	{0x58557, 5, SITE_PLAIN, 6, 0, 0, 0xab7d2080}, /* fstatat+0x57 */
	{0x5856f, 72, SITE_PLAIN, 5, 0, 0, 0x5e4cc7e8}, /* fstatat+0x6f */
	{0x58592, 262, SITE_PLAIN, 6, 0, 0, 0x1e0ba17e}, /* fstatat+0x92 */
	{0x585c1, 4, SITE_PLAIN, 8, 0, 0, 0x740e5451}, /* fstatat+0xc1 */
	{0x585fc, 262, SITE_PLAIN, 8, 0, 0, 0xd8573c9d}, /* fstatat+0xfc */
	{0x586fb, 4, SITE_PLAIN, 6, 0, 0, 0x25491006}, /* fstatat+0x1fb */
	{0x58713, 6, SITE_PLAIN, 6, 0, 0, 0x25491006}, /* fstatat+0x213 */
	{0x588fc, 137, SITE_PLAIN, 8, 0, 0, 0x0b886a02}, /* statfs+0x1c */
	{0x58975, 137, SITE_PLAIN, 8, 0, 0, 0x0b886a02}, /* statvfs+0x35 */
	{0x58b8d, 280, SITE_PLAIN, 6, 0, 0, 0xae915d37}, /* utimensat+0x4d */
	{0x58c1c, 261, SITE_PLAIN, 8, 0, 0, 0x045895c8}, /* utimensat+0xdc */
	{0x58c33, 235, SITE_PLAIN, 6, 0, 0, 0x25491006}, /* utimensat+0xf3 */
	{0x58c70, 280, SITE_PLAIN, 2, -22, 0, 0xa8f399c0}, /* utimensat+0x130 */
	{0x58c90, 280, SITE_PLAIN, 0, -6, 0, 0x5d0b7bcf}, /* utimensat+0x150 */
	{0x58d84, 72, SITE_PLAIN, 5, 0, 0, 0xa766ce94}, /* fdopen+0x94 */
	{0x58dcf, 16, SITE_PLAIN, 5, 0, 0, 0x80fadc9a}, /* fdopen+0xdf */
	{0x58e61, 72, SITE_PLAIN, 8, 0, 0, 0x62494bdb}, /* fdopen+0x171 */
	{0x58e76, 72, SITE_PLAIN, 6, 0, 0, 0x7b203f85}, /* fdopen+0x186 */
	{0x58fd4, 2, SITE_PLAIN, 6, 0, 0, 0x9a94f2d6}, /* fdopen+0x2e4 */
	{0x58ff5, 72, SITE_PLAIN, 8, 0, 0, 0xf88dbaf6}, /* fdopen+0x305 */
	{0x5937d, 19, SITE_PLAIN, 5, 0, 0, 0xba59db2f}, /* __overflow+0x1ed */
	{0x593e0, -1, SITE_DYNAMIC, 0, -5, 0, 0x1d4ac559}, /* __overflow+0x250 */
	{0x594be, 20, SITE_PLAIN, 6, 0, 0, 0x72024183}, /* __overflow+0x32e */
	{0x5958c, 16, SITE_PLAIN, 5, 0, 0, 0x80fadc9a}, /* __overflow+0x3fc */
	{0x5a92f, 2, SITE_PLAIN, 9, 0, 0, 0x1e4e03a7}, /* fopen+0x4f */
	{0x5a980, 72, SITE_PLAIN, 8, 0, 0, 0x0a228646}, /* fopen+0xa0 */
	{0x5b3fc, 72, SITE_PLAIN, 5, 0, 0, 0xa766ce94}, /* freopen+0xdc */
	{0x5b416, 72, SITE_PLAIN, 8, 0, 0, 0xb2aa5a39}, /* freopen+0xf6 */
	{0x5cba8, 61, SITE_PLAIN, 5, 0, 0, 0xf8f86ae3}, /* pclose+0x38 */
	{0x5cf3d, 3, SITE_PLAIN, 8, 0, 0, 0x56f30c79}, /* popen+0x1dd */
	{0x5cf47, 3, SITE_PLAIN, 8, 0, 0, 0xab3011c5}, /* popen+0x1e7 */
	{0x5db66, 6, SITE_PLAIN, 8, 0, 0, 0x5d9df117}, /* tempnam+0xf6 */
	{0x5dc29, 2, SITE_PLAIN, 5, 0, 0, 0x224b05e6}, /* tmpfile+0x69 */
	{0x5dc42, 87, SITE_PLAIN, 8, 0, 0, 0x447d246c}, /* tmpfile+0x82 */
	{0x5dd36, 6, SITE_PLAIN, 8, 0, 0, 0x5d9df117}, /* tmpnam+0x96 */
	{0x67b94, 16, SITE_PLAIN, 5, 0, 0, 0x80fadc9a}, /* tcgetwinsize+0x14 */
	{0x67c14, 16, SITE_PLAIN, 5, 0, 0, 0x15330015}, /* tcsetwinsize+0x14 */
	{0x68b8c, -1, SITE_CALL, 5, 0, 0, 0xbf26e5bd}, /* pthread_barrierattr_setpshared+0x10c */
	{0x68bf4, -1, SITE_DYNAMIC, 8, 0, 0, 0x36c38013}, /* pthread_barrierattr_setpshared+0x174 */
	{0x6cac8, 5, SITE_PLAIN, 8, 0, 0, 0x39a7793e}, /* tss_set+0x128 */
	{0x6cb40, 3, SITE_PLAIN, 8, 0, 0, 0x9549f5d4}, /* tss_set+0x1a0 */
	{0x708f3, 33, SITE_PLAIN, 3, -63, 0, 0xdc5b8254}, /* dup2+0x13 */
	{0x70946, 292, SITE_PLAIN, 6, 0, 0, 0xf6598481}, /* dup3+0x36 */
	{0x70966, 33, SITE_PLAIN, 6, 0, 0, 0x33022d4d}, /* dup3+0x56 */
	{0x7099a, 72, SITE_PLAIN, 8, 0, 0, 0x91994adc}, /* dup3+0x8a */
	{0x70a2b, 269, SITE_PLAIN, 8, 0, 0, 0x00c1b4d7}, /* dup3+0x11b */
	{0x70abf, 269, SITE_PLAIN, 6, 0, 0, 0x4dd83efb}, /* faccessat+0x3f */
	{0x70b09, 439, SITE_PLAIN, 6, 0, 0, 0x8ab3bd96}, /* faccessat+0x89 */
	{0x70bc8, 0, SITE_PLAIN, 5, 0, 0, 0x9873c845}, /* faccessat+0x148 */
	{0x70bf9, 61, SITE_PLAIN, 5, 0, 0, 0xc5116dc9}, /* faccessat+0x179 */
	{0x70c8f, 72, SITE_PLAIN, 5, 0, 0, 0x5e4cc7e8}, /* fchdir+0x2f */
	{0x70cab, 80, SITE_PLAIN, 8, 0, 0, 0x06706ef5}, /* fchdir+0x4b */
	{0x70d2e, 72, SITE_PLAIN, 5, 0, 0, 0x5e4cc7e8}, /* fchown+0x3e */
	{0x70d50, 92, SITE_PLAIN, 6, 0, 0, 0x2af65eff}, /* fchown+0x60 */
	{0x70e73, 79, SITE_PLAIN, 8, 0, 0, 0x508705a0}, /* getcwd+0x33 */
	{0x712cb, 293, SITE_PLAIN, 8, 0, 0, 0x6404ef8a}, /* pipe2+0x1b */
	{0x7131b, 72, SITE_PLAIN, 8, 0, 0, 0xe1643845}, /* pipe2+0x6b */
	{0x71324, 72, SITE_PLAIN, 7, 0, 0, 0x40cacd3e}, /* pipe2+0x74 */
	{0x71342, 72, SITE_PLAIN, 8, 0, 0, 0x065b9ade}, /* pipe2+0x92 */
	{0x7134b, 72, SITE_PLAIN, 7, 0, 0, 0x40cacd3e}, /* pipe2+0x9b */
	{0x7170f, -1, SITE_DYNAMIC, 7, 0, 0, 0x0a30cae3}, /* setuid+0x2f */
	{0x777a9, 56, SITE_PLAIN, 7, 0, 0, 0x2b6d4685}, /* memset+0x108 */
};
#define TABLE_54d00df4(X) X(regular_54d00df4, other_54d00df4, 0x54, 0xd0, 0x0d, 0xf4, 0x4f, 0xce, 0x62, 0xf5, 0x41, 0xca, 0x62, 0xb5, 0x6b, 0xde, 0xf5, 0xbf, 0x31, 0xff, 0x07, 0x7c)
