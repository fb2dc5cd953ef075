"""Names of the laboratory's services; what they are is imported when one is used."""

from twisted.application.reactors import Reactor
from twisted.application.service import ServiceMaker

lab_server = ServiceMaker(
    "lab server", "lab.commands.server", "The laboratory's services, for staying up.", "lab-server"
)
lab_client = ServiceMaker(
    "lab client", "lab.commands.client", "Clients that keep the services busy.", "lab-client"
)
lab_proxy = ServiceMaker(
    "lab proxy", "lab.commands.proxy", "A proxy that breaks the network on purpose.", "lab-proxy"
)
lab_reactor = Reactor(
    "lab", "lab.adapters.epoll", "Twisted's epoll reactor with less work an event."
)
