// SPDX-License-Identifier: GPL-2.0-or-later
/* Linked with -r, so that it looks like a .ko. Code and data without relocations. */

__attribute__((section(".init.text"))) int fake_init(void)
{
	volatile int in_init = 41;

	return in_init + 1;
}

int fake_call(int n)
{
	volatile int twice = 2 * n;

	return twice;
}

const int fake_constant = 12345;
int fake_variable = 67890;
static const char fake_info[] __attribute__((section(".modinfo"), used)) = "srcversion=ABCD";
