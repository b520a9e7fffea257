# Router of a small office: one uplink, two local networks, IPv6, phones, guests.
#
#   ether1  WAN    203.0.113.2/29   2001:db8:3::2/64
#   ether2  LAN1   192.168.1.1/24   2001:db8:1::1/64   staff; addresses by DHCP; virtual router 192.168.1.254
#   ether3  LAN2   192.168.2.1/24   2001:db8:2::1/64   servers; carries VLAN 10 (phones) and 20 (guests)
#
# `routerctl check smb-office.rsc` lists what a host does with each line.

# Ports. Names of the host's links are given with --port ether1=enp3s0 where they differ.
/interface ethernet
set [ find default-name=ether1 ] comment="WAN: uplink of the provider"
set [ find default-name=ether2 ] comment="LAN1: staff"
set [ find default-name=ether3 ] comment="LAN2: servers, trunk of the access switch"

# Phones and guests are VLANs on the cable to the access switch; untagged frames there are LAN2.
/interface vlan
add comment="phones" interface=ether3 name=vlan10 vlan-id=10
add comment="guests" interface=ether3 name=vlan20 vlan-id=20

# A second router may stand beside this one: hosts of LAN1 use the virtual address as their gateway.
/interface vrrp
add comment="virtual gateway of LAN1" interface=ether2 name=vrrp1 priority=100 vrid=1

# Groups that the rules below speak of.
/interface list
add name=WAN
add comment="all networks of the office but the guests'" name=LAN
/interface list member
add interface=ether1 list=WAN
add interface=ether2 list=LAN
add interface=ether3 list=LAN
add interface=vlan10 list=LAN

# IPv4 addresses.
/ip address
add address=203.0.113.2/29 comment="WAN" interface=ether1
add address=192.168.1.1/24 comment="LAN1" interface=ether2
add address=192.168.2.1/24 comment="LAN2" interface=ether3
add address=192.168.1.254/32 comment="virtual gateway of LAN1" interface=vrrp1
add address=192.168.10.1/24 comment="phones" interface=vlan10
add address=192.168.20.1/24 comment="guests" interface=vlan20

# IPv6 addresses; hosts find theirs by router advertisements.
/ipv6 address
add address=2001:db8:3::2/64 advertise=no comment="WAN IPv6" interface=ether1
add address=2001:db8:1::1/64 comment="LAN1 IPv6" interface=ether2
add address=2001:db8:2::1/64 comment="LAN2 IPv6" interface=ether3

# The way out, for both families.
/ip route
add comment="to the provider" dst-address=0.0.0.0/0 gateway=203.0.113.1
add blackhole comment="private networks that are nowhere here" distance=250 dst-address=192.168.0.0/16
/ipv6 route
add comment="to the provider" dst-address=::/0 gateway=2001:db8:3::1

# Forward both families, refuse redirects, drop packets whose source can't come from that port.
/ip settings
set ip-forward=yes max-neighbor-entries=16384 rp-filter=loose send-redirects=no
/ipv6 settings
set accept-redirects=no accept-router-advertisements=no forward=yes

# DHCP for LAN1. The virtual gateway's address stays out of the pool.
/ip pool
add name=dhcp_pool1 ranges=192.168.1.10-192.168.1.253
/ip dhcp-server
add address-pool=dhcp_pool1 comment="LAN1" interface=ether2 lease-time=10m name=dhcp1
/ip dhcp-server network
add address=192.168.1.0/24 dns-server=192.168.1.1 domain=office.example gateway=192.168.1.254
/ipv6 pool
add name=dhcpv6_pool1 prefix=2001:db8:1::/64 prefix-length=64
/ipv6 dhcp-server
add address-pool=dhcpv6_pool1 interface=ether2 name=dhcpv6_server1

# Names: the router asks its upstream servers and answers the office.
/ip dns
set allow-remote-requests=yes servers=8.8.8.8,8.8.4.4,2001:4860:4860::8888
/ip dns static
add address=192.168.1.1 comment="this router" name=router.office.example
add address=2001:db8:1::1 name=router.office.example type=AAAA

# Who may manage the router from where.
/ip firewall address-list
add address=192.168.1.0/24 comment="staff" list=allowed_nets

# To the router itself.
/ip firewall filter
add action=accept chain=input comment="answers" connection-state=established,related,untracked
add action=drop chain=input comment="what belongs nowhere" connection-state=invalid
add action=accept chain=input comment="ping and path MTU" protocol=icmp
add action=accept chain=input comment="virtual router" in-interface=ether2 protocol=vrrp
add action=accept chain=input comment="DHCP" dst-port=67 in-interface=ether2 protocol=udp
add action=accept chain=input comment="names" dst-port=53 in-interface-list=LAN protocol=udp
add action=accept chain=input comment="names, long answers" dst-port=53 in-interface-list=LAN protocol=tcp
add action=accept chain=input comment="management" dst-port=22,8291 protocol=tcp src-address-list=allowed_nets
add action=drop chain=input comment="everything else"

# Through the router.
add action=accept chain=forward comment="answers" connection-state=established,related,untracked
add action=drop chain=forward comment="what belongs nowhere" connection-state=invalid
add action=accept chain=forward comment="inside the office" in-interface-list=LAN out-interface-list=LAN
add action=accept chain=forward comment="the office to the Internet" in-interface-list=LAN out-interface-list=WAN
add action=accept chain=forward comment="guests to the Internet, nowhere else" in-interface=vlan20 out-interface-list=WAN
add action=accept chain=forward comment="what dstnat let in" connection-nat-state=dstnat
add action=drop chain=forward comment="everything else" log-prefix=forward

# The office shares the router's address; the web server of LAN2 is reachable from outside.
/ip firewall nat
add action=masquerade chain=srcnat comment="to the Internet" out-interface=ether1
add action=dst-nat chain=dstnat comment="web server" dst-port=8080 in-interface=ether1 protocol=tcp \
    to-addresses=192.168.2.10 to-ports=80

# Calls before everything else: signalling and speech are marked here, and queued below.
/ip firewall mangle
add action=mark-packet chain=prerouting comment="VoIP" dst-port=5060,5061,10000-20000 \
    new-packet-mark=voip-packets passthrough=yes protocol=udp
/queue tree
add comment="less than the uplink, so that the queue is here" max-limit=10M name=all-traffic parent=global
add limit-at=2M max-limit=10M name=voip-traffic packet-mark=voip-packets parent=all-traffic priority=1
add max-limit=10M name=other-traffic packet-mark=no-mark parent=all-traffic priority=8

# IPv6 has no translation: what isn't an answer stays out.
/ipv6 firewall filter
add action=accept chain=input comment="answers" connection-state=established,related,untracked
add action=accept chain=input comment="neighbours, errors, ping" protocol=icmpv6
add action=accept chain=input comment="names" dst-port=53 in-interface-list=LAN protocol=udp
add action=accept chain=input comment="DHCPv6" dst-port=547 in-interface=ether2 protocol=udp
add action=drop chain=input comment="everything else"
add action=accept chain=forward comment="answers" connection-state=established,related,untracked
add action=drop chain=forward comment="what belongs nowhere" connection-state=invalid
add action=accept chain=forward comment="errors and ping" protocol=icmpv6
add action=accept chain=forward comment="from the office" in-interface-list=LAN
add action=drop chain=forward comment="everything else"

# Services of the router that nobody uses are off.
/ip service
set ftp disabled=yes
set telnet disabled=yes
set www disabled=yes
set api disabled=yes
set ssh address=192.168.1.0/24
/ip neighbor discovery-settings
set discover-interface-list=LAN

/system identity
set name=office-router
/system clock
set time-zone-name=Europe/Vienna
/system ntp client
set enabled=yes
/system ntp client servers
add address=192.0.2.123
