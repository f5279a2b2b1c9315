/* SPDX-License-Identifier: Apache-2.0 */
/* A library that programs can be preloaded with, and that does nothing. */
const char polytropon_nothing[] = "nothing";
