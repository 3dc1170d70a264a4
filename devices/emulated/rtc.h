/*
 * rtc.h - the MC146818 real-time clock with the PC's CMOS memory.
 */
#ifndef RF_RTC_H
#define RF_RTC_H
#include "devices/device.h"
#include "monitor/clock.h"

struct rtc {
	struct device dev;
	u8 index;
	u8 cmos[128];		/* registers 0-9 and 32h are computed while the clock runs, and held here while it is set */
	s64 date_at_0;		/* the guest's date at guest time 0, in ns since 1970; changes when the guest sets the clock */
	u64 periodic;		/* number of the last periodic tick that was delivered or read */
	struct timer update_timer, periodic_timer;
	struct line irq;
};

void rtc_init(struct rtc *r, struct vm *vm, const char *id);
u8   rtc_read(struct rtc *r, u32 offset);		/* 0 index, 1 data */
void rtc_write(struct rtc *r, u32 offset, u8 value);
/* Before the machine runs: the date at guest time 0, in seconds since 1970; without it the host's. 1700 to 2250. */
void rtc_set_date(struct rtc *r, s64 seconds);
/* The board fills the memory that a BIOS would: sizes, equipment. Registers 0Eh and up. */
void rtc_set_cmos(struct rtc *r, u8 index, u8 value);
/* The memory-size bytes for ram bytes below 4 GiB, RAM from 0 (holes at A0000h-FFFFFh). */
void rtc_set_ram_size(struct rtc *r, u64 ram);
#endif
