/* SPDX-License-Identifier: Apache-2.0 */
/* Made by scripts/gen-sites.py of libc.so.6, build-id 93ac61ec5a8eb1396f9fbd350e3169a558528a40. */
static const uint32_t regular_93ac61ec[] = {
	SITE(0x3c11d, 13), SITE(0x3c265, 62), SITE(0x3c29a, 127), SITE(0x3c2d3, 130), SITE(0x3c815, 131), SITE(0x3cc2d, 128),
	SITE(0x3cd67, 129), SITE(0x3efff, 14), SITE(0x3f18e, 318), SITE(0x40ffa, 14), SITE(0x4bf9b, 14), SITE(0x4c3a5, 62),
	SITE(0x58a85, 82), SITE(0x58ab8, 264), SITE(0x58aed, 316), SITE(0x85e94, 202), SITE(0x85f93, 202), SITE(0x860d4, 202),
	SITE(0x86172, 202), SITE(0x86191, 202), SITE(0x86608, 202), SITE(0x866e8, 202), SITE(0x867e4, 202), SITE(0x86819, 202),
	SITE(0x87b04, 202), SITE(0x87b2f, 202), SITE(0x87ebd, 202), SITE(0x87f3b, 202), SITE(0x88171, 202), SITE(0x881c4, 202),
	SITE(0x8853d, 202), SITE(0x8881d, 202), SITE(0x88b16, 202), SITE(0x88e23, 203), SITE(0x88fa5, 273), SITE(0x89097, 14),
	SITE(0x891b1, 334), SITE(0x89294, 202), SITE(0x89905, 14), SITE(0x89997, 14), SITE(0x89b91, 14), SITE(0x89c85, 145),
	SITE(0x89cb2, 143), SITE(0x89e83, 14), SITE(0x8a396, 204), SITE(0x8ae2d, 14), SITE(0x8ae78, 14), SITE(0x8aeb7, 234),
	SITE(0x8aed5, 186), SITE(0x8aeea, 234), SITE(0x8b341, 202), SITE(0x8b58d, 202), SITE(0x8bc05, 202), SITE(0x8c041, 202),
	SITE(0x8c277, 202), SITE(0x8d41b, 202), SITE(0x8dbea, 202), SITE(0x8dc16, 202), SITE(0x8dfef, 202), SITE(0x8e07c, 202),
	SITE(0x8e0f8, 202), SITE(0x8e602, 202), SITE(0x8e62d, 202), SITE(0x8e6bf, 202), SITE(0x8ee1e, 202), SITE(0x8ee49, 202),
	SITE(0x8eed6, 202), SITE(0x8f0f8, 202), SITE(0x8f1d0, 202), SITE(0x8f4b7, 202), SITE(0x8f4e2, 202), SITE(0x8f565, 202),
	SITE(0x8f6ab, 203), SITE(0x8fdd2, 14), SITE(0x8ff0b, 297), SITE(0x905ef, 202), SITE(0x91575, 24), SITE(0x92b61, 14),
	SITE(0x92e30, 129), SITE(0x938f5, 3), SITE(0x93c03, 244), SITE(0x93dc7, 240), SITE(0x93e95, 245), SITE(0x93ed1, 243),
	SITE(0x93f91, 242), SITE(0x9403e, 241), SITE(0x940d7, 222), SITE(0x94220, 222), SITE(0x94337, 226), SITE(0x94423, 225),
	SITE(0x94473, 224), SITE(0x944c6, 223), SITE(0xc4055, 201), SITE(0xc415a, 96), SITE(0xc6975, 36), SITE(0xc69a5, 38),
	SITE(0xcf40a, 229), SITE(0xcf44d, 228), SITE(0xcf49f, 227), SITE(0xcf501, 230), SITE(0xd0041, 217), SITE(0xd1072, 116),
	SITE(0xd3b05, 63), SITE(0xd3b35, 100), SITE(0xd3bd1, 61), SITE(0xd3c84, 247), SITE(0xd3d25, 37), SITE(0xd3dce, 34),
	SITE(0xd4351, 56), SITE(0xd438b, 273), SITE(0xd43b6, 58), SITE(0xd4ad5, 59), SITE(0xd4b52, 322), SITE(0xd54e5, 39),
	SITE(0xd54f5, 110), SITE(0xd5505, 102), SITE(0xd5515, 107), SITE(0xd5525, 104), SITE(0xd5535, 108), SITE(0xd5545, 115),
	SITE(0xd5592, 105), SITE(0xd5612, 106), SITE(0xd5715, 121), SITE(0xd5745, 109), SITE(0xd5775, 111), SITE(0xd57a5, 124),
	SITE(0xd57d5, 112), SITE(0xd5805, 118), SITE(0xd5835, 120), SITE(0xd5882, 117), SITE(0xd5912, 119), SITE(0xedf55, 142),
	SITE(0xedf85, 143), SITE(0xedfb5, 144), SITE(0xedfe5, 145), SITE(0xee015, 24), SITE(0xee045, 146), SITE(0xee075, 147),
	SITE(0xee0a5, 148), SITE(0xee135, 203), SITE(0xf63d1, 17), SITE(0xf6481, 18), SITE(0xf6bfb, 14), SITE(0xf6c88, 14),
	SITE(0xf6edf, 436), SITE(0xf6f31, 14), SITE(0xf714d, 117), SITE(0xf7242, 119), SITE(0xf743c, 28), SITE(0xf75f8, 322),
	SITE(0xf76b4, 309), SITE(0xf773d, 309), SITE(0xf7868, 262), SITE(0xf7b38, 332), SITE(0xf7bc1, 259), SITE(0xf7c05, 137),
	SITE(0xf7c35, 138), SITE(0xf7d45, 95), SITE(0xf7d55, 90), SITE(0xf7d85, 91), SITE(0xf7ead, 268), SITE(0xf7f35, 83),
	SITE(0xf7f65, 258), SITE(0xf800f, 257), SITE(0xf818d, 257), SITE(0xf834e, 1), SITE(0xf83e5, 8), SITE(0xf8415, 21),
	SITE(0xf85ac, 439), SITE(0xf86a7, 269), SITE(0xf880e, 72), SITE(0xf8895, 73), SITE(0xf89ee, 3), SITE(0xf8a75, 32),
	SITE(0xf8aa5, 33), SITE(0xf8ad5, 292), SITE(0xf8b07, 293), SITE(0xf8b35, 293), SITE(0xf8b6e, 85), SITE(0xf8bf5, 80),
	SITE(0xf8c25, 81), SITE(0xf8ccc, 79), SITE(0xf9515, 92), SITE(0xf9545, 93), SITE(0xf9575, 94), SITE(0xf95a8, 260),
	SITE(0xf99f5, 86), SITE(0xf9a28, 265), SITE(0xf9a55, 88), SITE(0xf9a85, 266), SITE(0xf9ab5, 89), SITE(0xf9ae8, 267),
	SITE(0xf9b15, 87), SITE(0xf9b45, 263), SITE(0xf9b75, 84), SITE(0xfc22e, 7), SITE(0xfc306, 271), SITE(0xfc3c8, 221),
	SITE(0xfc808, 40), SITE(0xfc841, 326), SITE(0xfc8f8, 280), SITE(0xfc92d, 280), SITE(0xfcc55, 436), SITE(0xfcd11, 277),
	SITE(0xfcdc1, 285), SITE(0xfce65, 3), SITE(0xfcecf, 72), SITE(0xfceff, 72), SITE(0xfcf5e, 72), SITE(0xfcf8d, 72),
	SITE(0xfd094, 257), SITE(0xfd138, 17), SITE(0xfd165, 1), SITE(0xfd31b, 16), SITE(0xfd4c4, 16), SITE(0xfd5e8, 16),
	SITE(0xfd865, 98), SITE(0xfdb65, 140), SITE(0xfdba5, 141), SITE(0xfdc45, 12), SITE(0xfdd69, 16), SITE(0xfddbe, 19),
	SITE(0xfde5e, 20), SITE(0xfdf04, 295), SITE(0xfdfb4, 296), SITE(0xfe084, 327), SITE(0xfe1d4, 328), SITE(0xfe312, 113),
	SITE(0xfe3a2, 114), SITE(0xfe447, 117), SITE(0xfe507, 119), SITE(0xfe735, 170), SITE(0xfe875, 171), SITE(0xfe952, 270),
	SITE(0xfeaea, 270), SITE(0xfebb5, 163), SITE(0xfebe5, 161), SITE(0xfec1e, 74), SITE(0xfeca5, 162), SITE(0xfecde, 75),
	SITE(0xfed65, 306), SITE(0xfeda1, 169), SITE(0xff075, 153), SITE(0xff0a5, 167), SITE(0xff0d5, 168), SITE(0xff348, 101),
	SITE(0x100025, 76), SITE(0x100055, 77), SITE(0x1019b1, 9), SITE(0x101a05, 11), SITE(0x101a35, 10), SITE(0x101a6e, 26),
	SITE(0x101b05, 28), SITE(0x101b35, 27), SITE(0x101b68, 216), SITE(0x101b95, 149), SITE(0x101bc5, 150), SITE(0x101bf5, 151),
	SITE(0x101c25, 152), SITE(0x103ebe, 136), SITE(0x1042e9, 204), SITE(0x104698, 193), SITE(0x1046c5, 196), SITE(0x1046f5, 199),
	SITE(0x104728, 190), SITE(0x104758, 191), SITE(0x104785, 194), SITE(0x1047b8, 192), SITE(0x1047e5, 195), SITE(0x104815, 198),
	SITE(0x104848, 189), SITE(0x104875, 197), SITE(0x1048a8, 188), SITE(0x108aa5, 173), SITE(0x108ad5, 172), SITE(0x108b40, 56),
	SITE(0x108b58, 60), SITE(0x108b85, 166), SITE(0x108bb5, 187), SITE(0x108be5, 122), SITE(0x108c15, 123), SITE(0x108c57, 281),
	SITE(0x108d17, 441), SITE(0x108e05, 290), SITE(0x108e88, 302), SITE(0x108eb5, 135), SITE(0x108ef1, 232), SITE(0x108fa1, 276),
	SITE(0x109051, 278), SITE(0x109101, 275), SITE(0x1091be, 304), SITE(0x109259, 325), SITE(0x109285, 149), SITE(0x1092ed, 329),
	SITE(0x1093b5, 287), SITE(0x1093e8, 286), SITE(0x10945b, 157), SITE(0x1094a8, 310), SITE(0x1094d8, 311), SITE(0x109505, 305),
	SITE(0x109542, 4), SITE(0x109591, 5), SITE(0x1095e2, 6), SITE(0x109637, 262), SITE(0x1098d7, 435), SITE(0x1098f4, 60),
	SITE(0x1099a8, 301), SITE(0x1099fe, 25), SITE(0x109a85, 158), SITE(0x109ab5, 154), SITE(0x109ae5, 228), SITE(0x109af5, 125),
	SITE(0x109b25, 126), SITE(0x109b55, 174), SITE(0x109b85, 176), SITE(0x109bb5, 213), SITE(0x109be5, 291), SITE(0x109c18, 233),
	SITE(0x109c48, 431), SITE(0x109c75, 432), SITE(0x109ca5, 430), SITE(0x109cd5, 433), SITE(0x109d05, 177), SITE(0x109d38, 175),
	SITE(0x109d65, 254), SITE(0x109d95, 253), SITE(0x109dc5, 294), SITE(0x109df5, 255), SITE(0x109e25, 103), SITE(0x109e58, 165),
	SITE(0x109e88, 442), SITE(0x109eb8, 429), SITE(0x109ee5, 180), SITE(0x109f15, 428), SITE(0x109f45, 434), SITE(0x109f75, 438),
	SITE(0x109fa5, 155), SITE(0x109fd8, 424), SITE(0x10a008, 440), SITE(0x10a035, 448), SITE(0x10a068, 178), SITE(0x10a098, 179),
	SITE(0x10a0c5, 99), SITE(0x10a0f5, 272), SITE(0x10a125, 134), SITE(0x10a155, 283), SITE(0x10a185, 300), SITE(0x10a1b8, 303),
	SITE(0x10a1e5, 308), SITE(0x10a215, 319), SITE(0x10a245, 330), SITE(0x10a275, 331), SITE(0x10a2a5, 186), SITE(0x10a2b5, 234),
	SITE(0x10a6ee, 43), SITE(0x10a785, 49), SITE(0x10a7be, 42), SITE(0x10a855, 52), SITE(0x10a885, 51), SITE(0x10a8b8, 55),
	SITE(0x10a8e5, 50), SITE(0x10a927, 45), SITE(0x10a9e1, 45), SITE(0x10aaa3, 47), SITE(0x10ab57, 44), SITE(0x10ac0e, 46),
	SITE(0x10acb1, 44), SITE(0x10ad68, 54), SITE(0x10ad95, 48), SITE(0x10adc5, 41), SITE(0x10adf8, 53), SITE(0x10af61, 288),
	SITE(0x10b011, 299), SITE(0x10b0c1, 307), SITE(0x10b321, 69), SITE(0x10b3d1, 70), SITE(0x10b485, 68), SITE(0x10b4b5, 71),
	SITE(0x10b4f5, 64), SITE(0x10b5ad, 66), SITE(0x10b5d8, 220), SITE(0x10b605, 30), SITE(0x10b635, 67), SITE(0x10b668, 29),
	SITE(0x10b695, 31), SITE(0x10b8f4, 20), SITE(0x10b939, 20), SITE(0x1180f9, 131), SITE(0x122097, 3), SITE(0x122147, 3),
	SITE(0x130fa0, 129), SITE(0x14fd5f, 202),
};
static const struct site other_93ac61ec[] = {
	{0x3c2ff, 130, SITE_CANCEL, 5, 0, 22, 0x258cc871}, /* __sigsuspend+0x3f */
	{0x3cc80, 128, SITE_CANCEL, 5, 0, 31, 0x8e2edb57}, /* __sigtimedwait+0x70 */
	{0x3d1d6, 271, SITE_PLAIN, 8, 0, 0, 0x9bafea71}, /* abs+0x126 */
	{0x7f353, 20, SITE_PLAIN, 8, 0, 0, 0xd272bbed}, /* __fsetlocking+0x1b3 */
	{0x86768, -1, SITE_DYNAMIC, 6, 0, 0, 0xb2c7ca3f}, /* __pthread_get_minstack+0x378 */
	{0x86ac9, -1, SITE_DYNAMIC, 6, 0, 0, 0x0d1d5381}, /* __pthread_get_minstack+0x6d9 */
	{0xcf543, 230, SITE_CANCEL, 5, 0, 30, 0xe189c94d}, /* clock_nanosleep+0x63 */
	{0xd3c15, 61, SITE_CANCEL, 5, 0, 31, 0x103c503e}, /* wait4+0x55 */
	{0xd3cc7, 247, SITE_CANCEL, 5, 0, 34, 0xec9835f8}, /* waitid+0x57 */
	{0xd3df0, 34, SITE_CANCEL, 5, 0, 12, 0xdb47c411}, /* pause+0x30 */
	{0xf6415, 17, SITE_CANCEL, 5, 0, 31, 0xcc39511a}, /* __libc_pread+0x55 */
	{0xf64c5, 18, SITE_CANCEL, 5, 0, 31, 0x15e84481}, /* __libc_pwrite+0x55 */
	{0xf808e, 257, SITE_CANCEL, 5, 0, 28, 0xcb99e48d}, /* __open+0xce */
	{0xf8216, 257, SITE_CANCEL, 5, 0, 31, 0xcb99e48d}, /* openat+0xc6 */
	{0xf82ab, 0, SITE_PLAIN, 2, 13, 0, 0xcfba2b96}, /* __read+0xb */
	{0xf82ea, 0, SITE_CANCEL, 6, 0, 24, 0x005bb597}, /* __read+0x4a */
	{0xf838d, 1, SITE_CANCEL, 5, 0, 27, 0x06d9d18a}, /* __write+0x4d */
	{0xf8855, 72, SITE_CANCEL, 5, 0, 25, 0x2634f2cf}, /* __libc_fcntl64+0xb5 */
	{0xf8a18, 3, SITE_CANCEL, 5, 0, 16, 0xa637cb3c}, /* __close+0x38 */
	{0xf8ba0, 85, SITE_CANCEL, 5, 0, 20, 0xed7739a6}, /* creat+0x40 */
	{0xfc26d, 7, SITE_CANCEL, 5, 0, 27, 0xdcf3b208}, /* __poll+0x4d */
	{0xfc364, 271, SITE_CANCEL, 5, 0, 37, 0x243bde43}, /* ppoll+0xa4 */
	{0xfc5c0, 285, SITE_PLAIN, 5, 0, 0, 0xeb1275c7}, /* posix_fallocate+0x10 */
	{0xfc7d0, 285, SITE_PLAIN, 5, 0, 0, 0xeb1275c7}, /* posix_fallocate64+0x10 */
	{0xfc899, 326, SITE_CANCEL, 9, 0, 40, 0x9f4367b7}, /* copy_file_range+0x69 */
	{0xfcd56, 277, SITE_CANCEL, 5, 0, 32, 0x0765fdc9}, /* sync_file_range+0x56 */
	{0xfce05, 285, SITE_CANCEL, 5, 0, 31, 0x4a3d6421}, /* fallocate64+0x55 */
	{0xfcfff, 257, SITE_PLAIN, 5, 0, 0, 0xac119ea5}, /* __open64_nocancel+0x3f */
	{0xfd102, 0, SITE_PLAIN, 2, -77, 0, 0x24638072}, /* __read_nocancel+0x2 */
	{0xfd399, 16, SITE_PLAIN, 7, 0, 0, 0x8e0fd165}, /* tcsetattr+0xa9 */
	{0xfd3c4, 16, SITE_PLAIN, 7, 0, 0, 0x8836d30c}, /* tcsetattr+0xd4 */
	{0xfd61b, 16, SITE_CANCEL, 5, 0, 27, 0x7e8a5767}, /* tcdrain+0x4b */
	{0xfd7ee, 302, SITE_PLAIN, 7, 0, 0, 0x4bc9b69a}, /* __getrlimit+0xe */
	{0xfd82f, 302, SITE_PLAIN, 7, 0, 0, 0x4bc9b69a}, /* setrlimit+0xf */
	{0xfddfb, 19, SITE_CANCEL, 5, 0, 26, 0x6b974acc}, /* readv+0x4b */
	{0xfde9b, 20, SITE_CANCEL, 5, 0, 26, 0xb5463e33}, /* writev+0x4b */
	{0xfdf46, 295, SITE_CANCEL, 5, 0, 33, 0x6c23770b}, /* preadv+0x56 */
	{0xfdff6, 296, SITE_CANCEL, 5, 0, 33, 0xc2012a4c}, /* pwritev+0x56 */
	{0xfe10f, 327, SITE_CANCEL, 5, 0, 31, 0xcbe679ab}, /* preadv2+0xbf */
	{0xfe25f, 328, SITE_CANCEL, 5, 0, 31, 0x21c42cec}, /* pwritev2+0xbf */
	{0xfe9ea, 270, SITE_CANCEL, 5, 0, 33, 0x550ccb22}, /* __select+0x14a */
	{0xfeb4f, 270, SITE_CANCEL, 9, 0, 39, 0x32372e1d}, /* pselect+0xbf */
	{0xfec48, 74, SITE_CANCEL, 5, 0, 16, 0xbd92dfe9}, /* fsync+0x38 */
	{0xfed08, 75, SITE_CANCEL, 5, 0, 16, 0x1341e634}, /* fdatasync+0x38 */
	{0x101827, -1, SITE_DYNAMIC, 5, 0, 0, 0x368a7770}, /* syscall+0x17 */
	{0x101aad, 26, SITE_CANCEL, 5, 0, 27, 0x98705db9}, /* msync+0x4d */
	{0x108cac, 281, SITE_CANCEL, 9, 0, 41, 0x4973a8e2}, /* epoll_pwait+0x6c */
	{0x108d6b, 441, SITE_CANCEL, 9, 0, 40, 0x02169196}, /* epoll_pwait2+0x6b */
	{0x108dcd, 289, SITE_PLAIN, 5, 0, 0, 0xcf2faf11}, /* signalfd+0xd */
	{0x108f34, 232, SITE_CANCEL, 5, 0, 31, 0x85f7f56f}, /* epoll_wait+0x54 */
	{0x108fe4, 276, SITE_CANCEL, 5, 0, 31, 0xf0862b30}, /* tee+0x54 */
	{0x109094, 278, SITE_CANCEL, 5, 0, 31, 0x97e4317a}, /* vmsplice+0x54 */
	{0x109159, 275, SITE_CANCEL, 9, 0, 40, 0x9f4367b7}, /* splice+0x69 */
	{0x1091f9, 304, SITE_CANCEL, 5, 0, 25, 0x44894384}, /* open_by_handle_at+0x49 */
	{0x10a72d, 43, SITE_CANCEL, 5, 0, 27, 0xb37ee394}, /* accept+0x4d */
	{0x10a972, 45, SITE_CANCEL, 5, 0, 36, 0x4adcd0ae}, /* __recv+0x62 */
	{0x10aa38, 45, SITE_CANCEL, 5, 0, 40, 0xe1f458d4}, /* recvfrom+0x68 */
	{0x10aae5, 47, SITE_CANCEL, 5, 0, 25, 0xea3aca60}, /* recvmsg+0x55 */
	{0x10ac4b, 46, SITE_CANCEL, 5, 0, 26, 0xa48bdd45}, /* sendmsg+0x4b */
	{0x10afa6, 288, SITE_CANCEL, 5, 0, 32, 0x7f29c3f4}, /* accept4+0x56 */
	{0x10b05e, 299, SITE_CANCEL, 9, 0, 36, 0x76bdd658}, /* recvmmsg+0x5e */
	{0x10b104, 307, SITE_CANCEL, 5, 0, 31, 0xfac70fcf}, /* __sendmmsg+0x54 */
	{0x10b9f0, 20, SITE_PLAIN, 10, 0, 0, 0x2be1a567}, /* shmctl+0x360 */
	{0x10ba59, 20, SITE_PLAIN, 5, 0, 0, 0x57c17a0a}, /* shmctl+0x3c9 */
	{0x10ba78, 20, SITE_PLAIN, 5, 0, 0, 0x57c17a0a}, /* shmctl+0x3e8 */
	{0x10bb59, 20, SITE_PLAIN, 7, 0, 0, 0x66fe2c7a}, /* shmctl+0x4c9 */
	{0x12231d, 3, SITE_PLAIN, 8, 0, 0, 0x1a54a3c8}, /* if_indextoname+0x6ad */
	{0x127ef2, 20, SITE_PLAIN, 8, 0, 0, 0xf870f001}, /* herror+0x72 */
};
#define TABLE_93ac61ec(X) X(regular_93ac61ec, other_93ac61ec, 0x93, 0xac, 0x61, 0xec, 0x5a, 0x8e, 0xb1, 0x39, 0x6f, 0x9f, 0xbd, 0x35, 0x0e, 0x31, 0x69, 0xa5, 0x58, 0x52, 0x8a, 0x40)
