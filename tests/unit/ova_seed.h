/*
 * ova_seed.h - an OVF descriptor with everything that ovf.c looks at.
 */
#ifndef RF_OVA_SEED_H
#define RF_OVA_SEED_H
/* In the manner of VirtualBox and of VMware, which agree in little. */
static const char descriptor[] =
	"<?xml version=\"1.0\"?>\n"
	"<Envelope ovf:version=\"1.0\" xml:lang=\"en-US\" xmlns=\"http://schemas.dmtf.org/ovf/envelope/1\""
	" xmlns:ovf=\"http://schemas.dmtf.org/ovf/envelope/1\""
	" xmlns:rasd=\"http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData\">\n"
	"<References><File ovf:href=\"disk1.vmdk\" ovf:id=\"file1\" ovf:size=\"9\"/><File ovf:href=\"cd.iso\" ovf:id=\"file2\"/></References>\n"
	"<DiskSection><Info>disks</Info>"
	"<Disk ovf:capacity=\"8\" ovf:capacityAllocationUnits=\"byte * 2^30\" ovf:diskId=\"vmdisk1\" ovf:fileRef=\"file1\"/>"
	"<Disk ovf:capacity=\"1048576\" ovf:diskId=\"vmdisk2\"/></DiskSection>\n"
	"<VirtualSystem ovf:id=\"old\"><Name> An old system </Name>"
	"<OperatingSystemSection ovf:id=\"1\"><Description>Other_x</Description></OperatingSystemSection>"
	"<VirtualHardwareSection>"
	"<Item><rasd:ElementName>cd</rasd:ElementName><rasd:HostResource>/file/file2</rasd:HostResource><rasd:InstanceID>9</rasd:InstanceID>"
	"<rasd:Parent>5</rasd:Parent><rasd:AddressOnParent>1</rasd:AddressOnParent><rasd:ResourceType>15</rasd:ResourceType></Item>"
	"<Item><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>2</rasd:VirtualQuantity></Item>"
	"<Item><rasd:InstanceID>2</rasd:InstanceID><rasd:ResourceType>4</rasd:ResourceType><rasd:AllocationUnits>MegaBytes</rasd:AllocationUnits>"
	"<rasd:VirtualQuantity>256</rasd:VirtualQuantity></Item>"
	"<Item><rasd:InstanceID>5</rasd:InstanceID><rasd:ResourceType>5</rasd:ResourceType></Item>"
	"<Item><rasd:InstanceID>6</rasd:InstanceID><rasd:ResourceType>6</rasd:ResourceType>"
	"<rasd:ResourceSubType>lsilogic</rasd:ResourceSubType></Item>"
	"<StorageItem><rasd:HostResource>ovf:/disk/vmdisk2</rasd:HostResource><rasd:Parent>6</rasd:Parent>"
	"<rasd:ResourceType>17</rasd:ResourceType><rasd:AddressOnParent>0</rasd:AddressOnParent></StorageItem>"
	"<Item><rasd:HostResource>/disk/vmdisk1</rasd:HostResource><rasd:Parent>5</rasd:Parent><rasd:AddressOnParent>0</rasd:AddressOnParent>"
	"<rasd:ResourceType>17</rasd:ResourceType></Item>"
	"<Item><rasd:ResourceType>10</rasd:ResourceType></Item><Item><rasd:ResourceType>35</rasd:ResourceType></Item>"
	"</VirtualHardwareSection></VirtualSystem></Envelope>\n";
#endif
