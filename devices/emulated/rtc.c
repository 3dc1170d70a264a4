/*
 * rtc.c - the MC146818 real-time clock and the CMOS memory. Datasheet: Motorola MC146818A; CMOS map: Ralf Brown's list.
 *
 * The date is guest time plus an offset, so it needs no timer of its own. While SET (register B) is 1 or the divider is held in reset
 * the clock stands: registers 0-9 hold what was read or written, and become the offset when it is let go.
 * A second begins at the moment of the update-ended flag; the 2228 us before it show UIP (244 us of warning, 1984 us of update).
 *
 * Periodic ticks that the guest was too slow to take are caught up, like the 8254's: `periodic` is the number of the last delivered.
 */
#include "devices/emulated/rtc.h"

#define S 1000000000ll
#define UIP_NS (2228 * 1000ll)
#define MAX_LAG_NS (10 * S)

enum { SECONDS, SECONDS_ALARM, MINUTES, MINUTES_ALARM, HOURS, HOURS_ALARM, WEEKDAY, DAY, MONTH, YEAR, REG_A, REG_B, REG_C, REG_D,
	CENTURY = 0x32 };

#define A_UIP  0x80
#define B_SET  0x80
#define B_PIE  0x40
#define B_AIE  0x20
#define B_UIE  0x10
#define B_BINARY 0x04
#define B_24H  0x02
#define C_IRQF 0x80
#define C_PF   0x40
#define C_AF   0x20
#define C_UF   0x10
#define D_VRT  0x80
#define PM     0x80

static const struct field rtc_fields[] = {
	FIELD(struct rtc, index, FIELD_U8),
	FIELD_ARRAY(struct rtc, cmos, FIELD_U8),
	FIELD(struct rtc, date_at_0, FIELD_U64),
	FIELD(struct rtc, periodic, FIELD_U64),
	FIELD(struct rtc, update_timer, FIELD_TIMER),
	FIELD(struct rtc, periodic_timer, FIELD_TIMER),
	FIELD_END
};

/* --- the date --- */

static bool running(const struct rtc *r)
{
	/* Divider codes 11x hold the divider in reset (register A, DV2-DV0). */
	return !(r->cmos[REG_B] & B_SET) && (r->cmos[REG_A] & 0x60) != 0x60;
}

/* Nanoseconds since 1970 as the guest's clock sees them. */
static s64 date_ns(struct rtc *r, u64 now)
{
	return (s64)now + r->date_at_0;
}

static s64 floor_div(s64 a, s64 b)
{
	return a / b - (a % b < 0);
}

/* Days since 1970 from a date of the proleptic Gregorian calendar; months count from March so that the leap day is last. */
static s64 days_of(s64 year, int month, int day)
{
	s64 y = year - (month <= 2), m = month + (month <= 2 ? 9 : -3);
	return y * 365 + floor_div(y, 4) - floor_div(y, 100) + floor_div(y, 400) + (153 * m + 2) / 5 + day - 1 - 719468;
}

static void date_of(s64 days, s64 *year, int *month, int *day)
{
	s64 y = 1970 + floor_div(days, days < 0 ? 365 : 366);	/* never too late */
	while (days >= days_of(y + 1, 1, 1))
		y++;
	int m = 1;
	while (m < 12 && days >= days_of(y, m + 1, 1))
		m++;
	*year = y;
	*month = m;
	*day = (int)(days - days_of(y, m, 1)) + 1;
}

static u8 encode(const struct rtc *r, int n)
{
	return (u8)(r->cmos[REG_B] & B_BINARY ? n : n / 10 % 10 << 4 | n % 10);
}

static int decode(const struct rtc *r, u8 v)
{
	return r->cmos[REG_B] & B_BINARY ? v : (v >> 4) * 10 + (v & 15);
}

static u8 encode_hour(const struct rtc *r, int hour)
{
	if (r->cmos[REG_B] & B_24H)
		return encode(r, hour);
	return encode(r, (hour + 11) % 12 + 1) | (hour >= 12 ? PM : 0);
}

static int decode_hour(const struct rtc *r, u8 v)
{
	if (r->cmos[REG_B] & B_24H)
		return decode(r, v);
	return decode(r, v & 0x7f) % 12 + (v & PM ? 12 : 0);
}

/* Brings registers 0-9 and the century up to date. */
static void show_date(struct rtc *r, u64 now)
{
	if (!running(r))
		return;
	s64 seconds = floor_div(date_ns(r, now), S), days = floor_div(seconds, 86400), year;
	int in_day = (int)(seconds - days * 86400), month, day;
	date_of(days, &year, &month, &day);
	r->cmos[SECONDS] = encode(r, in_day % 60);
	r->cmos[MINUTES] = encode(r, in_day / 60 % 60);
	r->cmos[HOURS] = encode_hour(r, in_day / 3600);
	r->cmos[WEEKDAY] = encode(r, (int)((days + 4) % 7 + 7) % 7 + 1);	/* 1 = Sunday; 1970 began on a Thursday */
	r->cmos[DAY] = encode(r, day);
	r->cmos[MONTH] = encode(r, month);
	r->cmos[YEAR] = encode(r, (int)(year % 100));
	r->cmos[CENTURY] = encode(r, (int)(year / 100));
}

/* The registers become the date. A nonsense month becomes the nearest sensible one, a nonsense day counts on. */
static void take_date(struct rtc *r, u64 now)
{
	int month = decode(r, r->cmos[MONTH]);
	month = month < 1 ? 1 : month > 12 ? 12 : month;
	int year = decode(r, r->cmos[CENTURY]) * 100 + decode(r, r->cmos[YEAR]);
	year = year < 1700 ? 1700 : year > 2250 ? 2250 : year;	/* what 64 bits of nanoseconds hold */
	s64 days = days_of(year, month, decode(r, r->cmos[DAY]));
	s64 seconds = days * 86400 + decode_hour(r, r->cmos[HOURS]) * 3600 + decode(r, r->cmos[MINUTES]) * 60 +
		      decode(r, r->cmos[SECONDS]);
	/* The first update comes half a second after the divider is let go (datasheet, Divider Control). */
	r->date_at_0 = seconds * S + S / 2 - (s64)now;
}

/* --- interrupts --- */

static void rtc_update(struct rtc *r)
{
	u8 *c = &r->cmos[REG_C];
	*c &= C_PF | C_AF | C_UF;
	if (*c & r->cmos[REG_B] & (C_PF | C_AF | C_UF))		/* the enables stand at the flags' bits */
		*c |= C_IRQF;
	line_set(&r->irq, *c & C_IRQF);
}

/* Length of a periodic tick in ns, 0 if there is none: rates 1 and 2 are those of 8 and 9 (register A, RS3-RS0). */
static u64 periodic_ns(const struct rtc *r)
{
	int rate = r->cmos[REG_A] & 15;
	if (!rate || (r->cmos[REG_A] & 0x60) == 0x60)
		return 0;
	if (rate <= 2)
		rate += 7;
	return (u64)S * (1u << (rate - 1)) / 32768;
}

static void arm_periodic(struct rtc *r, u64 now)
{
	u64 period = periodic_ns(r);
	/* While PF stands nobody would see another tick. */
	if (!period || !(r->cmos[REG_B] & B_PIE) || (r->cmos[REG_C] & C_PF)) {
		timer_cancel(&r->periodic_timer);
		return;
	}
	u64 next = (r->periodic + 1) * period;
	timer_arm(&r->periodic_timer, next > now ? next : now + period / 4);
}

static void restart_periodic(struct rtc *r, u64 now)
{
	u64 period = periodic_ns(r);
	r->periodic = period ? now / period : 0;
	arm_periodic(r, now);
}

static void periodic_tick(void *arg, u64 now)
{
	struct rtc *r = arg;
	u64 period = periodic_ns(r);
	if (!period)
		return;
	r->periodic++;
	if (now / period > r->periodic + MAX_LAG_NS / period)
		r->periodic = now / period;
	r->cmos[REG_C] |= C_PF;
	rtc_update(r);
}

static void arm_update(struct rtc *r, u64 now)
{
	if (!running(r)) {
		timer_cancel(&r->update_timer);
		return;
	}
	s64 date = date_ns(r, now);
	timer_arm(&r->update_timer, now + (u64)((floor_div(date, S) + 1) * S - date));
}

/* An alarm byte with both top bits set matches everything (datasheet, "don't care"). */
static bool alarm_matches(const struct rtc *r, int reg)
{
	return (r->cmos[reg + 1] & 0xc0) == 0xc0 || r->cmos[reg + 1] == r->cmos[reg];
}

static void second_tick(void *arg, u64 now)
{
	struct rtc *r = arg;
	show_date(r, now);
	r->cmos[REG_C] |= C_UF;
	if (alarm_matches(r, SECONDS) && alarm_matches(r, MINUTES) && alarm_matches(r, HOURS))
		r->cmos[REG_C] |= C_AF;
	rtc_update(r);
	arm_update(r, now);
}

/* --- registers --- */

static u8 read_c(struct rtc *r, u64 now)
{
	u64 period = periodic_ns(r);
	if (period && !(r->cmos[REG_B] & B_PIE) && now / period != r->periodic) {	/* without PIE no timer runs */
		r->periodic = now / period;
		r->cmos[REG_C] |= C_PF;
	}
	u8 value = r->cmos[REG_C];
	r->cmos[REG_C] = 0;
	rtc_update(r);
	arm_periodic(r, now);
	return value;
}

static u8 read_a(struct rtc *r, u64 now)
{
	u8 value = r->cmos[REG_A];
	s64 date = date_ns(r, now);
	if (running(r) && (floor_div(date, S) + 1) * S - date <= UIP_NS)
		value |= A_UIP;
	return value;
}

u8 rtc_read(struct rtc *r, u32 offset)
{
	if (offset == 0)	/* the index register cannot be read */
		return 0xff;
	u64 now = clock_now(r->dev.vm);
	switch (r->index) {
	case REG_A: return read_a(r, now);
	case REG_C: return read_c(r, now);
	case REG_D: return D_VRT;
	}
	if (r->index <= YEAR || r->index == CENTURY)
		show_date(r, now);
	return r->cmos[r->index];
}

/* Registers A and B decide whether the clock runs: the date is frozen into the registers, or taken from them. */
static void write_control(struct rtc *r, u8 value, u64 now)
{
	bool was_running = running(r);
	show_date(r, now);
	if (r->index == REG_A)
		r->cmos[REG_A] = value & (u8)~A_UIP;
	else
		r->cmos[REG_B] = value & B_SET ? value & (u8)~B_UIE : value;	/* SET clears UIE */
	if (!was_running && running(r))
		take_date(r, now);
	arm_update(r, now);
	restart_periodic(r, now);
	rtc_update(r);
}

/* A date byte written while the clock runs takes effect at once. */
static void write_date(struct rtc *r, u8 value, u64 now)
{
	s64 fraction = date_ns(r, now) - floor_div(date_ns(r, now), S) * S;
	show_date(r, now);
	r->cmos[r->index] = value;
	if (running(r)) {
		take_date(r, now);
		r->date_at_0 += fraction - S / 2;
		arm_update(r, now);
	}
}

void rtc_write(struct rtc *r, u32 offset, u8 value)
{
	if (offset == 0) {
		r->index = value & 0x7f;	/* bit 7 masks NMI; nothing on this board raises one */
		return;
	}
	switch (r->index) {
	case SECONDS: case MINUTES: case HOURS: case WEEKDAY: case DAY: case MONTH: case YEAR: case CENTURY:
		write_date(r, value, clock_now(r->dev.vm));
		break;
	case REG_A: case REG_B:
		write_control(r, value, clock_now(r->dev.vm));
		break;
	case REG_C: case REG_D:
		break;		/* read-only */
	default:
		r->cmos[r->index] = value;
	}
}

void rtc_set_date(struct rtc *r, s64 seconds)
{
	u64 now = clock_now(r->dev.vm);
	r->date_at_0 = seconds * S - (s64)now;
	show_date(r, now);
	arm_update(r, now);
}

void rtc_set_cmos(struct rtc *r, u8 index, u8 value)
{
	r->cmos[index & 0x7f] = value;
}

void rtc_set_ram_size(struct rtc *r, u64 ram)
{
	u64 extended = ram > 1u << 20 ? (ram >> 10) - 1024 : 0;			/* KiB above 1 MiB */
	u64 above_16m = ram > 16u << 20 ? (ram - (16u << 20)) >> 16 : 0;	/* 64 KiB units */
	if (extended > 0xffff)
		extended = 0xffff;
	rtc_set_cmos(r, 0x15, 640 & 0xff);
	rtc_set_cmos(r, 0x16, 640 >> 8);
	for (int i = 0; i < 2; i++) {
		rtc_set_cmos(r, (u8)(0x17 + i), (u8)(extended >> 8 * i));
		rtc_set_cmos(r, (u8)(0x30 + i), (u8)(extended >> 8 * i));
		rtc_set_cmos(r, (u8)(0x34 + i), (u8)(above_16m >> 8 * i));
	}
}

/* RESET clears the interrupt enables and flags, and nothing else: the battery keeps the rest. */
static void rtc_reset(void *dev)
{
	struct rtc *r = dev;
	r->cmos[REG_B] &= (u8)~(B_PIE | B_AIE | B_UIE);
	r->cmos[REG_C] = 0;
	restart_periodic(r, clock_now(r->dev.vm));
	rtc_update(r);
}

static void rtc_loaded(void *dev)
{
	struct rtc *r = dev;
	r->index &= 0x7f;
	rtc_update(r);
}

static const struct device_class rtc_class = {
	.name = "rtc", .what = "MC146818 real-time clock", .version = 1,
	.fields = rtc_fields, .reset = rtc_reset, .loaded = rtc_loaded,
};

void rtc_init(struct rtc *r, struct vm *vm, const char *id)
{
	*r = (struct rtc){ .dev = { .cls = &rtc_class, .vm = vm, .id = id } };
	timer_init(vm, &r->update_timer, second_tick, r);
	timer_init(vm, &r->periodic_timer, periodic_tick, r);
	r->cmos[REG_A] = 0x26;		/* what a BIOS leaves: 32768 Hz, 1024 Hz periodic, 24 hours, BCD */
	r->cmos[REG_B] = B_24H;
	r->date_at_0 = clock_epoch(vm) * S;
	u64 now = clock_now(vm);
	show_date(r, now);
	arm_update(r, now);
	rtc_reset(r);
}
