"""The sample world: four organisations, a dozen people, and the mail they get. Everybody and everything in it is invented."""
