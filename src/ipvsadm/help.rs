//! The help of `pgvs ipvsadm -h`: every command and option, in our own words.

/// What `-h` prints below the version.
pub fn help(program: &str) -> String {
    HELP.replace("PROGRAM", program)
}

const HELP: &str = "\
Usage: PROGRAM COMMAND [OPTION]...   (the command comes first)

Services
  -A, --add-service SERVICE      add a virtual service
  -E, --edit-service SERVICE     replace how it is scheduled; what is not named gets its default
  -D, --delete-service SERVICE   delete it with its servers
    SERVICE is one of
      -t, --tcp-service HOST:PORT      -u, --udp-service HOST:PORT
      --sctp-service HOST:PORT         -f, --fwmark-service MARK [-6, --ipv6]
    -s, --scheduler NAME         rr wrr lc wlc lblc lblcr dh sh sed nq fo ovf mh ..; default wlc
    -b, --sched-flags FLAG,..    sh-fallback sh-port mh-fallback mh-port flag-1 flag-2 flag-3
    -p, --persistent [SECONDS]   one client, one server; default 360 seconds
    -M, --netmask MASK           clients that count as one: a mask, or for IPv6 a prefix length
    --pe NAME                    persistence engine: sip
    -o, --ops                    a server for each packet (UDP and marks only)

Servers of a service
  -a, --add-server SERVICE -r HOST[:PORT]      add a real server
  -e, --edit-server SERVICE -r HOST[:PORT]     replace weight, method, limits and tunnel
  -d, --delete-server SERVICE -r HOST[:PORT]   delete it
    -g, --gatewaying | -i, --ipip | -m, --masquerading   direct routing (default), tunnel, NAT
    -w, --weight N               share of new connections; default 1, 0 for none
    -x, --u-threshold N          no new connections from so many on; 0 for no limit
    -y, --l-threshold N          new connections again below so many
    --tun-type ipip|gue|gre      kind of tunnel; default ipip
    --tun-port PORT              of gue
    --tun-nocsum | --tun-csum | --tun-remcsum

The table
  -L, -l, --list [SERVICE]       list it
    -n, --numeric                numbers instead of names
    --stats | --rate | --thresholds | --persistent-conn | --tun-info
    -X, --exact                  large numbers in full
    --nosort                     in the kernel's order; --sort does nothing
    -c, --connection | --timeout | --daemon    connections, timeouts or sync daemons instead
  -Z, --zero [SERVICE]           counters back to zero
  -C, --clear                    delete everything
  -S, --save [-n]                print the table as commands
  -R, --restore                  carry out the commands on standard input

The rest
  --set TCP TCPFIN UDP           timeouts in seconds; 0 leaves one as it is
  --start-daemon master|backup   start a connection-sync daemon
    --mcast-interface NAME       default eth0
    --syncid N  --sync-maxlen N  --mcast-group ADDRESS  --mcast-port PORT  --mcast-ttl N
  --stop-daemon master|backup    stop it
  -v, --version   -h, --help
";
