; hostile.asm - guests that never end and mean harm: run-hostile.py assembles one for each SCENE and watches the monitor from outside.
;
; A scene is between %ifidn SCENE, NAME and %endif: flat ring 0 (tests/asm/lib.inc), interrupts off, the 8259s at vectors 20h and 28h
; with all inputs masked. It says '!' at port 0xe9 by `call begun` when it is under way. The list of scenes is taken from this file.

%include "lib.inc"

LAPIC  equ 0xfee00000
IOAPIC equ 0xfec00000
HPET   equ 0xfed00000
FREE   equ 0x400000		; memory for the scene: 4 MiB to 16 MiB

%macro OUTB 2
	mov al, %2
	out %1, al
%endmacro
%macro OUTDX 2	; port, byte
	mov dx, %1
	mov al, %2
	out dx, al
%endmacro
; PCI configuration: device.function << 8 | register, doubleword
%macro PCIWRITE 2
	mov dx, 0xcf8
	mov eax, 0x80000000 | (%1)
	out dx, eax
	mov dx, 0xcfc
	mov eax, %2
	out dx, eax
%endmacro

begun:	push eax
	mov al, '!'
	out 0xe9, al
	pop eax
	ret

main:
	cli
	OUTB 0x20, 0x11
	OUTB 0x21, 0x20
	OUTB 0x21, 4
	OUTB 0x21, 1
	OUTB 0xa0, 0x11
	OUTB 0xa1, 0x28
	OUTB 0xa1, 2
	OUTB 0xa1, 1
	OUTB 0x21, 0xff
	OUTB 0xa1, 0xff
%assign v 0x20
%rep 0xe0
	SETGATE idt + v * 8, SEL_CODE, interrupted, 0x8e, 0
%assign v v + 1
%endrep
	call scene
.forever:
	jmp .forever

; Every interrupt is acknowledged everywhere.
interrupted:
	push eax
	push edx
	inc dword [count]
	mov al, 0x0c
	out 0x70, al
	in al, 0x71
	mov al, 0x20
	out 0xa0, al
	out 0x20, al
	mov dword [LAPIC + 0xb0], 0
	pop edx
	pop eax
	iretd

apic_on:
	mov dword [LAPIC + 0xf0], 0x1ff
	mov dword [LAPIC + 0x80], 0
	ret

; eax = low half of an entry of the I/O APIC, ecx = its pin
ioapic_entry:
	lea edx, [ecx * 2 + 0x11]
	mov [IOAPIC], edx
	mov dword [IOAPIC + 0x10], 0
	dec edx
	mov [IOAPIC], edx
	mov [IOAPIC + 0x10], eax
	ret

; Page tables at FREE that map everything to itself, 4 MiB pages
identity:
	mov edi, FREE
	mov eax, 0x83
.next:	mov [edi], eax
	add edi, 4
	add eax, 0x400000
	jnc .next
	mov eax, cr4
	or eax, 0x10
	mov cr4, eax
	mov eax, FREE
	mov cr3, eax
	ret
paging_on:
	mov eax, cr0
	or eax, 0x80000000
	mov cr0, eax
	jmp .here
.here:	ret

scene:

; --- timers as fast as they go ---

%ifidn SCENE, pit_fast
	OUTB 0x43, 0x34
	OUTB 0x40, 2
	OUTB 0x40, 0
	OUTB 0x21, 0xfe
	sti
	call begun
	ret
%endif
%ifidn SCENE, pit_reprogrammed
	OUTB 0x21, 0xfe
	sti
	call begun
.again:	mov ecx, 6
.mode:	lea eax, [ecx * 2 + 0x2e]	; modes 0 to 5 with a count of 1, all access modes
	out 0x43, al
	OUTB 0x40, 1
	OUTB 0x40, 0
	OUTB 0x43, 0xc2
	in al, 0x40
	in al, 0x61
	xor al, 3
	out 0x61, al
	loop .mode
	jmp .again
%endif
%ifidn SCENE, rtc_fast
	OUTB 0x70, 0x0a
	OUTB 0x71, 0x23		; 8192 Hz
	OUTB 0x70, 0x0b
	OUTB 0x71, 0x72		; periodic, alarm, update
	OUTB 0x21, 0xfb
	OUTB 0xa1, 0xfe
	sti
	call begun
	ret
%endif
%ifidn SCENE, hpet_fast
	call apic_on
	mov eax, 0x40
	mov ecx, 20
	call ioapic_entry
	mov dword [HPET + 0x100], 20 << 9 | 0x4c	; periodic, may be set, edge
	mov dword [HPET + 0x108], 1
	mov dword [HPET + 0x108], 1
	mov dword [HPET + 0x120], 20 << 9 | 0x46	; level, that nobody takes back
	mov dword [HPET + 0x128], 2
	mov dword [HPET + 0x10], 1
	sti
	call begun
	ret
%endif
%ifidn SCENE, hpet_legacy
	mov dword [HPET + 0x100], 0x4c
	mov dword [HPET + 0x108], 1
	mov dword [HPET + 0x108], 1
	mov dword [HPET + 0x10], 3
	OUTB 0x21, 0xfa
	OUTB 0xa1, 0xfe
	sti
	call begun
.again:	mov dword [HPET + 0xf0], -2	; the counter is moved about below the comparators
	mov dword [HPET + 0xf4], -1
	jmp .again
%endif
%ifidn SCENE, lapic_fast
	call apic_on
	mov dword [LAPIC + 0x3e0], 0xb
	mov dword [LAPIC + 0x320], 0x20040
	mov dword [LAPIC + 0x380], 1
	sti
	call begun
	ret
%endif
%ifidn SCENE, deadline_past
	call apic_on
	mov dword [LAPIC + 0x320], 0x40040
	sti
	call begun
.again:	mov ecx, 0x6e0
	rdtsc
	wrmsr
	mov dword [LAPIC + 0x320], 0x40040
	jmp .again
%endif
%ifidn SCENE, everything_fast
	call apic_on
	mov dword [LAPIC + 0x3e0], 0xb
	mov dword [LAPIC + 0x320], 0x20040
	mov dword [LAPIC + 0x380], 1
	mov dword [LAPIC + 0x350], 0x700	; LINT0 is the 8259s
	OUTB 0x43, 0x34
	OUTB 0x40, 2
	OUTB 0x40, 0
	OUTB 0x70, 0x0a
	OUTB 0x71, 0x23
	OUTB 0x70, 0x0b
	OUTB 0x71, 0x72
	mov dword [HPET + 0x100], 20 << 9 | 0x4c
	mov dword [HPET + 0x108], 1
	mov dword [HPET + 0x108], 1
	mov dword [HPET + 0x10], 1
	OUTB 0x21, 0
	OUTB 0xa1, 0
	sti
	call begun
.again:	hlt
	jmp .again
%endif

; --- interrupts without end ---

%ifidn SCENE, ipi_storm
	call apic_on
	sti
	call begun
.again:	mov dword [LAPIC + 0x300], 0x44040	; to itself
	mov dword [LAPIC + 0x300], 0x44050
	mov dword [LAPIC + 0x300], 0x44400	; NMI
	jmp .again
%endif
%ifidn SCENE, level_stuck
	mov dx, 0x4d0
	OUTDX 0x4d0, 0xf8
	OUTDX 0x3fb, 3
	OUTDX 0x3fc, 0x0b
	OUTDX 0x3f9, 2		; the transmitter is empty, and nobody takes it back
	OUTB 0x21, 0xef
	call begun		; the program gets no further: each IRET is followed by the next
	sti
	ret
%endif
%ifidn SCENE, init_storm
	call apic_on
	call begun
	mov dword [LAPIC + 0x300], 0x44500	; INIT to itself: from the reset vector, where nothing is
	ret
%endif
%ifidn SCENE, triple_fault
	call begun
	lidt [.nothing]
	int3
.nothing: dw 0
	dd 0
%endif
%ifidn SCENE, reset_storm
	call begun
	OUTDX 0xcf9, 2
	OUTDX 0xcf9, 6
	OUTB 0x64, 0xfe
	ret
%endif
%ifidn SCENE, trap_flag
	SETGATE idt + 8, SEL_CODE, trapped, 0x8e, 0
	mov eax, .again
	mov dr0, eax
	mov eax, 0x703
	mov dr7, eax
	pushfd
	or dword [esp], 0x100
	call begun
	popfd
.again:	mov esi, FREE
	mov edi, FREE + 0x100000
	mov ecx, 0x10000
	rep movsb
	jmp .again
%endif

; --- DMA and drives ---

%ifidn SCENE, ide_loop
	PCIWRITE 0x920, 0xc001		; the bus master's ports
	PCIWRITE 0x904, 5
	mov dword [FREE], FREE		; a table of one piece, 64 KiB onto itself, without an end
	mov dword [FREE + 4], 0
	call begun
.again:	OUTDX 0xc000, 0
	mov dx, 0xc004
	mov eax, FREE
	out dx, eax
	OUTDX 0x1f6, 0xe0
	OUTDX 0x1f2, 0
	OUTDX 0x1f3, 0
	OUTDX 0x1f4, 0
	OUTDX 0x1f5, 0
	OUTDX 0x1f7, 0xc8
	OUTDX 0xc000, 9
	OUTDX 0x1f7, 0xec
	OUTDX 0x1f7, 0x20
	mov ecx, 256
	mov edi, FREE
	mov dx, 0x1f0
	rep insd
	OUTDX 0x3f6, 4
	OUTDX 0x3f6, 0
	jmp .again
%endif
%ifidn SCENE, ide_prd
	PCIWRITE 0x920, 0xc001
	PCIWRITE 0x904, 5
	mov edi, FREE			; 64 KiB of pieces of two bytes, none the last; and the disk writes into the table
	mov ecx, 8192
.fill:	mov [edi], edi
	mov dword [edi + 4], 2
	add edi, 8
	loop .fill
	call begun
.again:	OUTDX 0xc000, 0
	mov dx, 0xc004
	mov eax, FREE
	out dx, eax
	OUTDX 0x1f6, 0xe0
	OUTDX 0x1f2, 255
	OUTDX 0x1f7, 0xc8
	OUTDX 0xc000, 9
	mov ecx, 1000
	mov dx, 0x1f7
.wait:	in al, dx
	loop .wait
	jmp .again
%endif
%ifidn SCENE, fw_cfg_self
	call begun
.again:	mov edi, FREE
	mov dword [edi], 0x0a001900	; select the directory, read; big-endian
	mov dword [edi + 4], -1		; 4 GiB
	mov dword [edi + 8], 0
	mov eax, FREE
	bswap eax
	mov [edi + 12], eax		; onto the request itself
	mov dx, 0x514
	mov ecx, eax
	xor eax, eax
	out dx, eax
	mov dx, 0x518
	mov eax, ecx
	out dx, eax
	jmp .again
%endif
%ifidn SCENE, isa_dma
	call begun
.again:	mov ecx, 256
.next:	OUTB 0x0d, 0
	OUTB 0x0b, cl
	OUTB 0x02, cl
	OUTB 0x03, 0xff
	OUTB 0x03, 0xff
	OUTB 0x0f, 0
	OUTB 0x09, 4
	OUTB 0xd2, 4
	OUTB 0xd6, cl
	OUTB 0xde, 0
	OUTB 0x08, cl
	loop .next
	OUTDX 0x3f2, 0x1c
	OUTDX 0x3f5, 0x46
	OUTDX 0x3f5, 0
	OUTDX 0x3f5, 0
	jmp .again
%endif
%ifidn SCENE, ins_everywhere
	call begun
.again:	xor edx, edx
.port:	mov edi, FREE
	mov ecx, 3000
	rep insb
	mov ecx, 700
	rep insw
	mov ecx, 300
	rep insd
	inc dx
	jnz .port
	jmp .again
%endif
%ifidn SCENE, ins_forever
	call begun
.again:	mov edi, FREE
	mov ecx, -1			; 4 GiB from a port, over everything
	mov dx, 0x1f0
	cld
	rep insd
	jmp .again
%endif

; --- code and memory ---

%ifidn SCENE, smc
	call begun
.again:	mov ecx, 100000
.next:	mov [.patch + 1], ecx
	mov byte [.patch], 0xb8
.patch:	mov eax, 0
	mov [.target], al
	jmp .on
.on:	mov byte [.target + 1], 0x90
	nop
.target: nop
	nop
	mov byte [.target], 0x90
	loop .next
	jmp .again
%endif
%ifidn SCENE, smc_pages
	mov edi, FREE
	mov ecx, 0x200000
	mov al, 0x40			; INC EAX
	rep stosb
	call begun
.again:	mov ebx, FREE + 0xff0		; blocks that go over a page's end, and are written in both pages
	mov ecx, 400
.page:	mov dword [ebx + 0x20], 0xc3c3c3c3
	mov byte [ebx], 0x41
	mov byte [ebx + 0x18], 0x42
	push ecx
	call ebx
	pop ecx
	add ebx, 0x1000
	loop .page
	jmp .again
%endif
%ifidn SCENE, code_everywhere
	mov edi, FREE
	mov ecx, 0xb00000
	mov al, 0x90
	rep stosb
	mov edi, FREE + 200		; a return now and then
.ret:	mov byte [edi], 0xc3
	add edi, 61
	cmp edi, 0xf00000
	jb .ret
	call begun
.again:	mov ebx, FREE			; each byte begins a block of its own
.next:	call ebx
	inc ebx
	cmp ebx, 0xef0000
	jb .next
	jmp .again
%endif
%ifidn SCENE, tables_in_mmio
	call identity
	mov eax, 0xa0003		; a page table in VGA memory, of which every read is a picture's
	mov [FREE + 0x20 * 4], eax
	mov eax, LAPIC + 3
	mov [FREE + 0x21 * 4], eax
	mov eax, IOAPIC + 3
	mov [FREE + 0x22 * 4], eax
	mov eax, 0xffff0003
	mov [FREE + 0x23 * 4], eax
	mov eax, 0xd0000003		; nobody there
	mov [FREE + 0x24 * 4], eax
	call paging_on
	call begun
.again:	mov ebx, 0x20 << 22
.next:	ARM .after
	mov eax, [ebx]
	mov [ebx + 4], eax
.after:	mov eax, cr3
	mov cr3, eax
	invlpg [ebx]
	add ebx, 0x7000
	cmp ebx, 0x25 << 22
	jb .next
	jmp .again
%endif
%ifidn SCENE, directory_in_mmio
	call begun
	mov eax, 0xb8000
	mov cr3, eax
	call paging_on
	ret
%endif
%ifidn SCENE, stack_in_mmio
	OUTB 0x43, 0x34
	OUTB 0x40, 200
	OUTB 0x40, 0
	OUTB 0x21, 0xfe
	call begun
.again:	mov esp, 0xb8800
	sti
	push eax
	call .sub
	pushad
	popad
	pushfd
	popfd
	mov esp, LAPIC + 0x800
	push eax
	pop eax
	mov esp, 0xffff8000		; ROM
	push ebx
	pop ebx
	mov esp, 0xd0000800		; nobody
	cli
	push ebx
	pop ebx
	jmp .again
.sub:	ret
%endif
%ifidn SCENE, descriptors_in_mmio
	mov edi, 0xb8000
	mov esi, gdt
	mov ecx, GDT_SIZE
	rep movsb
	mov word [FREE], 0xffff
	mov dword [FREE + 2], 0xb8000
	mov word [FREE + 8], 0xffff
	mov dword [FREE + 10], 0xfffe0000
	call begun
.again:	lgdt [FREE]
	ARM .one
	mov ax, SEL_DATA
	mov ds, ax
	mov es, ax
	jmp SEL_CODE:.one
.one:	lgdt [FREE + 8]			; ROM: anything may be there
	ARM .two
	mov ecx, 64
.sel:	lea eax, [ecx * 8]
	mov gs, ax
	lldt ax
	loop .sel
.two:	lgdt [FREE]
	mov dword [LAPIC + 0xb0], 0
	jmp .again
%endif
%ifidn SCENE, idt_in_mmio
	mov word [FREE], 0x7ff
	mov dword [FREE + 2], LAPIC
	call begun
	lidt [FREE]
	int 0x40
	ret
%endif
%ifidn SCENE, code_in_mmio
	mov edi, 0xb8000
	mov ecx, 0x2000
	mov al, 0x40
	rep stosb
	mov byte [0xb9f00], 0xc3
	call begun
.again:	mov ecx, 200
.vga:	mov eax, 0xb8000
	call eax
	loop .vga
	ARM .next
	mov eax, LAPIC + 0x20
	jmp eax
.next:	ARM .rom
	mov eax, 0xffff0000
	jmp eax
.rom:	ARM .last
	mov eax, 0xd0000000		; FFh: an invalid opcode
	jmp eax
.last:	jmp .again
%endif
%ifidn SCENE, maps_change
	call begun
.again:	mov ecx, 7
.pam:	mov dx, 0xcf8
	mov eax, 0x80000058
	out dx, eax
	mov dx, 0xcfc
	mov eax, 0x33333333
	test ecx, 1
	jz .write
	xor eax, eax
.write:	out dx, eax
	mov eax, [0xc0000]
	mov [0xe0000], eax
	in al, 0x92
	xor al, 2
	and al, 0xfe
	out 0x92, al
	mov eax, [FREE + 0x100000]
	loop .pam
	or al, 2
	OUTB 0x92, 2
	jmp .again
%endif
%ifidn SCENE, bars_move
	call begun
	mov ebx, 0
.again:	add ebx, 0x1000000
	PCIWRITE 0x1004, 0
	PCIWRITE 0x1010, ebx		; VGA memory over RAM, APICs, ROM, everything
	PCIWRITE 0x1018, ebx
	PCIWRITE 0x1030, 0xfffffffe
	PCIWRITE 0x1004, 7
	PCIWRITE 0x920, ebx
	PCIWRITE 0x904, 7
	PCIWRITE 0xb40, ebx		; the ACPI ports
	PCIWRITE 0xb80, 1
	mov eax, [LAPIC + 0x20]
	mov eax, [ebx]
	jmp .again
%endif
%ifidn SCENE, modes_change
	PCIWRITE 0x1010, 0xe0000000
	PCIWRITE 0x1004, 7
	call begun
	mov ebp, 0
.again:	mov esi, .modes
.next:	mov dx, 0x1ce
	mov ax, [esi]
	cmp ax, -1
	je .draw
	out dx, ax
	inc dx
	mov ax, [esi + 2]
	out dx, ax
	add esi, 4
	jmp .next
.draw:	mov edi, 0xe0000000
	mov ecx, 1920 * 300
	mov eax, ebp
	rep stosd
	inc ebp
	mov dx, 0x1cf
	xor eax, eax
	out dx, ax
	OUTDX 0x3c4, 2
	OUTDX 0x3c5, 15
	mov edi, 0xa0000
	mov ecx, 0x4000
	rep stosd
	jmp .again
.modes:	dw 4, 0, 1, 1920, 2, 1200, 3, 32, 4, 0x41, -1
%endif
%ifidn SCENE, tasks
	SETDESC SEL_FREE, tss2, 103, 0x89, 0
	mov dword [tss2 + 0x20], .inside
	mov dword [tss2 + 0x24], 2
	mov dword [tss2 + 0x38], FREE + 0x1000
	mov dword [tss2 + 0x4c], SEL_CODE
	mov dword [tss2 + 0x48], SEL_DATA
	mov dword [tss2 + 0x50], SEL_DATA
	mov dword [tss2 + 0x54], SEL_DATA
	mov dword [tss2 + 0x58], SEL_DATA
	mov dword [tss2 + 0x5c], SEL_DATA
	call begun
.again:	call SEL_FREE:0
	jmp .again
.inside: iretd
	jmp .inside
%endif
	ret

trapped: inc dword [count]
	iretd

	align 16
count:	dd 0
tss2:	times 104 db 0
END_OF_PROGRAM
