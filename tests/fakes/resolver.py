"""The domain name system as a table. It ships with the program, because the demo's world is made of it too."""

from carepost.mailauth.resolver import Answer, FakeResolver, NoSuchName, Resolver, ResolverTrouble

__all__ = ["Answer", "FakeResolver", "NoSuchName", "Resolver", "ResolverTrouble"]
